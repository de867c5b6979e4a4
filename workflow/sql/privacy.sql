-- Lower bounds on the privacy loss of the training of each side, at the last epoch.
SELECT found.*
FROM privacy AS found
JOIN last_epochs USING (model, epoch)
ORDER BY found.model, found.side;
