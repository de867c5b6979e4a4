-- The sides that are checkpoints which this workflow did not train, with their preprocessing of images.
SELECT model, side, source, preprocessing, preprocessing_known FROM sides WHERE kind = 'checkpoint' ORDER BY model, side;
