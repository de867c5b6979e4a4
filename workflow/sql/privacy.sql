-- Lower bounds on the privacy loss of the training of each side, at the last epoch.
SELECT privacy.*
FROM privacy
JOIN last_epochs USING (model, epoch)
ORDER BY privacy.model, privacy.side;
