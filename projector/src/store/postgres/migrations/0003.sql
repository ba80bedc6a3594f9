-- Whether releases that do not know a migration cannot go on with the schema that it leaves.
ALTER TABLE schema_migrations ADD COLUMN breaks boolean NOT NULL DEFAULT false;
-- The last event that a generation was made of, by which its log is known again: JSON.
ALTER TABLE view_generations ADD COLUMN last_read text;
