"""Families of zero-shot detectors of ``transformers``: OWL-ViT with OWLv2, and Grounding DINO.

* OWL embeds each label alone, as "a photo of a <label>", and compares it with every box ("Simple Open-Vocabulary Object
  Detection", arXiv 2205.06230; OWLv2: arXiv 2306.09683). A label's score does not depend on the other labels.
* Grounding DINO reads one text, "<label>. <label>.", together with the image (arXiv 2303.05499). A vocabulary that is
  too long for one text is cut into several texts. A label's score is the mean over the label's tokens, as in the
  authors' evaluation on COCO. The score depends a little on the other labels in the same text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch
from PIL import Image

from dejavu.errors import InputError

LABELS_PER_BLOCK = 512


class Family(Protocol):
    """A family of models, behind one interface."""

    def blocks(self, images: list[Image.Image]) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
        """Yield, for each block of labels, the number of its first label, scores and boxes.

        Yields:
            The number; scores, float32 (images, boxes, labels) in [0, 1]; and boxes, float32 (images, boxes, 4): centre
            x and y, width and height as shares of :meth:`extent`.
        """
        ...

    def extent(self, image: Image.Image) -> tuple[int, int]:
        """Return width and height, in pixels of the image, of the area that the model was shown."""
        ...


class Owl:
    """OWL-ViT and OWLv2: each label is a text of its own."""

    def __init__(self, model: Any, processor: Any, phrases: Sequence[str], device: str) -> None:
        self.model, self.device = model, device
        self.process = processor.image_processor
        # OWLv2's processor pads the image to a square, with the image in the upper left corner.
        self.square = model.config.model_type == "owlv2"
        texts = [f"a photo of a {text}" for text in phrases]
        self.queries = torch.cat(
            [self._embed(processor.tokenizer, texts[i : i + 256]) for i in range(0, len(texts), 256)]
        )

    def _embed(self, tokenizer: Any, texts: list[str]) -> torch.Tensor:
        longest = self.model.config.text_config.max_position_embeddings
        for text, tokens in zip(texts, tokenizer(texts)["input_ids"], strict=True):
            if len(tokens) > longest:
                raise InputError(
                    f"the vocabulary asks for {text!r}, which has {len(tokens)} tokens, but the detector reads "
                    f"{longest}: shorten it."
                )
        tokens = tokenizer(texts, padding="max_length", max_length=longest, return_tensors="pt").to(self.device)
        base = self.model.base_model
        return base.text_projection(base.text_model(**tokens).pooler_output)

    def blocks(self, images: list[Image.Image]) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
        pixels = self.process(images, return_tensors="pt")["pixel_values"].to(self.device)
        # The model's own forward() would embed all labels again for every image, so its parts are called here.
        grid = self.model.image_embedder(pixel_values=pixels)[0]
        features = grid.flatten(1, 2)
        boxes = self.model.box_predictor(features, grid)
        for start in range(0, len(self.queries), LABELS_PER_BLOCK):
            queries = self.queries[start : start + LABELS_PER_BLOCK].expand(len(images), -1, -1)
            yield start, self.model.class_predictor(features, queries)[0].sigmoid(), boxes

    def extent(self, image: Image.Image) -> tuple[int, int]:
        return (max(image.size),) * 2 if self.square else image.size


class GroundingDino:
    """Grounding DINO and MM Grounding DINO: one text holds many labels."""

    def __init__(self, model: Any, processor: Any, phrases: Sequence[str], device: str) -> None:
        self.model, self.device = model, device
        self.process, self.tokenizer = processor.image_processor, processor.tokenizer
        # In the text of Grounding DINO, "." ends a label, so the labels must not contain one.
        labels = [" ".join(text.lower().replace(".", " ").replace("?", " ").split()) for text in phrases]
        self.texts = [(start, *self._text(part)) for start, part in self._parts(labels, model.config.max_text_len)]

    def _parts(self, labels: list[str], longest: int) -> Iterator[tuple[int, list[str]]]:
        """Cut the vocabulary into parts that fit into one text; yield each after the number of its first label."""
        start, used = 0, 2  # The text has one special token at either end.
        for number, tokens in enumerate(self.tokenizer(labels, add_special_tokens=False)["input_ids"]):
            if len(tokens) + 3 > longest or not tokens:
                raise InputError(
                    f"the vocabulary asks for {labels[number]!r}, which has {len(tokens)} tokens, but the detector "
                    f"reads 1 to {longest - 3}: change it."
                )
            if used + len(tokens) + 1 > longest:
                yield start, labels[start:number]
                start, used = number, 2
            used += len(tokens) + 1
        yield start, labels[start:]

    def _text(self, labels: list[str]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """Return the tokens of one text, and float32 (labels, tokens), weights of the mean over each label's tokens."""
        text = ". ".join(labels) + "."
        tokens = self.tokenizer(text, return_tensors="pt", return_offsets_mapping=True)
        first, last = tokens.pop("offset_mapping")[0].unbind(1)
        share = torch.zeros(len(labels), len(first))
        begin = 0
        for number, label in enumerate(labels):
            own = (first >= begin) & (last <= begin + len(label)) & (last > first)
            share[number, own] = 1 / own.sum()
            begin += len(label) + 2
        return {name: value.to(self.device) for name, value in tokens.items()}, share.to(self.device)

    def blocks(self, images: list[Image.Image]) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
        pixels = self.process(images, return_tensors="pt").to(self.device)
        for start, tokens, share in self.texts:
            same = {name: value.expand(len(images), -1) for name, value in tokens.items()}
            output = self.model(pixel_values=pixels["pixel_values"], pixel_mask=pixels["pixel_mask"], **same)
            scores = output.logits.sigmoid()[..., : share.shape[1]]
            yield start, scores @ share.T, output.pred_boxes

    def extent(self, image: Image.Image) -> tuple[int, int]:
        return image.size


FAMILIES: dict[str, type[Owl] | type[GroundingDino]] = {
    "owlvit": Owl,
    "owlv2": Owl,
    "grounding-dino": GroundingDino,
    "mm-grounding-dino": GroundingDino,
}
