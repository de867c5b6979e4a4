-- What the two sides of every model are.
SELECT model, side, kind, source, search, search_engine, preprocessing, preprocessing_known FROM sides ORDER BY model, side;
