-- How well captions alone tell the roles apart, where a list gives one of them; a comparison of roles that are apart is
-- void.
SELECT role, other, auc, std_error, captions, is_apart FROM blind_baseline ORDER BY role, other;
