-- The bootstrap of every study's points, all objects. Draw i is the same resample for all models of a split.
SELECT studies.study, studies.place, draws.query, draws.metric, list(draws.value ORDER BY draws.draw) AS drawn
FROM studies
JOIN bootstrap_draws AS draws ON draws.model = studies.model AND draws.epoch = studies.epoch
WHERE draws.population = 'symmetric'
  AND draws.scope = 'all'
  AND draws.metric IN ('ppg', 'prg', 'aucg')
  AND draws.k = (SELECT value::INTEGER FROM config WHERE key = 'report.k')
  AND draws.labels = (SELECT trim(value, '"') FROM config WHERE key = 'report.labels')
GROUP BY studies.study, studies.place, draws.query, draws.metric
ORDER BY studies.study, studies.place, draws.query, draws.metric;
