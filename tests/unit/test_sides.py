"""What the sides of a model are."""

from __future__ import annotations

from tests.harness.configurations import ROLES, changed

from dejavu.sides import side_of


def test_sides_are_complete_and_hold_nothing_about_training(load):
    given = changed(**{"models.test": {"sides": {"a": {"model": "base"}, "b": {"text_encoder": "tfidf"}}}})
    model = load(given)["models"]["test"]
    assert set(model) == {"sides"}
    assert (model["sides"]["a"]["search"], model["sides"]["b"]["search"]) == ("images", "captions")


def test_a_checkpoint_whose_training_samples_are_listed_is_accepted(load, tmp_path):
    (tmp_path / "members.txt").write_text("uid-1\n")
    sides = {"a": {"checkpoint": "a_tag", "architecture": "ViT-B-32"}, "b": {"text_encoder": "tfidf"}}
    roles = {f"{ROLES}.a": {"uids": str(tmp_path / "members.txt")}}
    assert load(changed(**{"models.test": {"sides": sides}, **roles}))["models"]["test"]["sides"]["a"]["checkpoint"]


def test_what_a_side_is_and_where_its_embeddings_lie(load):
    sides = {"a": {"model": "longer", "search": "captions"}, "b": {"text_encoder": "tfidf"}}
    models = load(changed(**{"models.test": {"sides": sides}}))["models"]
    trained, target, reference = (side_of(models, *who) for who in (("longer", "a"), ("test", "a"), ("test", "b")))
    assert (trained.kind, trained.own, trained.embedded) == ("trained", True, ("longer", 9000))
    assert (target.kind, target.own, target.embedded) == ("model", False, ("longer", 9000))
    assert (target.search, trained.search, reference.search) == ("captions", "images", "captions")
    assert (reference.kind, reference.source, reference.own) == ("text_encoder", "tfidf", False)
    assert target.seen == reference.seen == 9000
