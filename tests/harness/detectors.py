"""Tiny object detectors with random weights."""

from __future__ import annotations

from pathlib import Path


def owl(folder: Path, kind: str) -> None:
    from transformers import (
        CLIPTokenizer,
        Owlv2Config,
        Owlv2ForObjectDetection,
        Owlv2ImageProcessor,
        Owlv2Processor,
        OwlViTConfig,
        OwlViTForObjectDetection,
        OwlViTImageProcessor,
        OwlViTProcessor,
    )

    characters = [c + end for c in "abcdefghijklmnopqrstuvwxyz?" for end in ("", "</w>")]
    vocabulary = {token: i for i, token in enumerate(["!", *characters, "<|startoftext|>", "<|endoftext|>"])}
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=[], pad_token="!", model_max_length=24)
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**small, "vocab_size": len(vocabulary), "max_position_embeddings": 24}
    text |= {"bos_token_id": len(vocabulary) - 2, "eos_token_id": len(vocabulary) - 1, "pad_token_id": 0}
    vision = {**small, "image_size": 32, "patch_size": 8}
    sections = {"text_config": text, "vision_config": vision, "projection_dim": 16}
    size = {"height": 32, "width": 32}
    if kind == "owlvit":
        model = OwlViTForObjectDetection(OwlViTConfig(**sections))
        processor = OwlViTProcessor(OwlViTImageProcessor(size=size), tokenizer)
    else:
        model = Owlv2ForObjectDetection(Owlv2Config(**sections))
        processor = Owlv2Processor(Owlv2ImageProcessor(size=size), tokenizer)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
