-- The sides that are checkpoints from elsewhere, and how images are prepared for them.
SELECT model, side, source, preprocessing, preprocessing_known FROM sides WHERE kind = 'checkpoint' ORDER BY model, side;
