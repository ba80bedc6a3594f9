-- In whose place a generation came, and the number of that one's last write: it goes on from there.
ALTER TABLE view_generations
    -- Some made 0003 while it had other columns for this.
    ADD COLUMN IF NOT EXISTS last_read text,
    ADD COLUMN follows        bigint,
    ADD COLUMN follows_writes bigint;
