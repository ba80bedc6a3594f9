-- In whose place a generation came, and how often that one had been written by then: it goes on from there.
ALTER TABLE view_generations
    ADD COLUMN follows        bigint,
    ADD COLUMN follows_writes bigint;
