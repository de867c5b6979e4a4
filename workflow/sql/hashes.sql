-- SHA-256 of the configuration, of the data, and of every checkpoint that was measured.
SELECT "of", model, side, epoch, replicate, name, sha256, bytes
FROM hashes
ORDER BY
    list_position(['configuration', 'raw files', 'samples', 'checkpoint'], "of"), name, model, epoch, replicate, side;
