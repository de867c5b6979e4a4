-- How well captions alone tell two roles apart; none where chance drew all roles.
SELECT role, other, auc, std_error, captions, is_apart
FROM blind_baseline
ORDER BY role, other;
