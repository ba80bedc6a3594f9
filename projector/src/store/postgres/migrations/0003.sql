-- Whether releases that do not know a migration cannot go on with the schema that it leaves.
ALTER TABLE schema_migrations ADD COLUMN breaks boolean NOT NULL DEFAULT false;
-- The last event that a generation was made of, by which its log is known again.
ALTER TABLE view_generations
    ADD COLUMN last_stream   text,
    ADD COLUMN last_revision bigint,
    ADD COLUMN last_id       text,
    ADD COLUMN last_position bigint;
