-- What there is of each view, one row a generation. The rows of a generation are in tables of its own.
CREATE TABLE view_generations (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    view     text NOT NULL,
    version  integer NOT NULL,
    number   integer NOT NULL,
    state    text NOT NULL CHECK (state IN ('filling', 'live', 'retired')),
    position bigint NOT NULL DEFAULT 0,
    -- How often it was written: what a reader has seen.
    writes   bigint NOT NULL DEFAULT 0,
    moved_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (view, version, number)
);
CREATE UNIQUE INDEX view_generations_live ON view_generations (view, version) WHERE state = 'live';

-- Who does what only one process may do. Whoever takes a lease over raises its epoch.
CREATE TABLE leases (
    name       text PRIMARY KEY,
    epoch      bigint NOT NULL,
    holder     text NOT NULL,
    expires_at timestamptz NOT NULL
);
