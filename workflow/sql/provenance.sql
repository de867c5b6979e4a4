-- What wrote this database: versions, commit, date and machine.
SELECT key, value FROM provenance ORDER BY rowid;
