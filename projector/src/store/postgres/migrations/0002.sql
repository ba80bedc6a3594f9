-- Requests to try parked streams again: how often it was asked, and up to which request it was done.
ALTER TABLE view_generations
    ADD COLUMN retries_asked bigint NOT NULL DEFAULT 0,
    ADD COLUMN retries_done  bigint NOT NULL DEFAULT 0;
