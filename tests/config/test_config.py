"""Profiles and options: every profile is valid, and what is wrong is named with its path."""

from __future__ import annotations

import hashlib
from importlib import resources

import pytest
import yaml

from gensr_lib import config as configs
from gensr_lib.config import (
    BackboneConfig,
    DataConfig,
    DefaultWorld,
    Profile,
    TrainingConfig,
    available_profiles,
    digest,
    read_profile,
    with_dials,
)
from gensr_lib.data.pocket.world import PocketConfig
from gensr_lib.errors import ConfigError
from gensr_lib.experiments.spec import checked, load_profile, resolve
from gensr_lib.models import available_models
from gensr_lib.models.gensr.options import GenSRConfig

PROFILES = ("paper", "pocket", "smoke")


def test_the_three_profiles_of_the_book():
    assert tuple(available_profiles()) == PROFILES


@pytest.mark.parametrize("name", PROFILES)
def test_every_key_of_a_profile_reaches_the_object(name):
    """A value in the YAML file that the loaded object lacks, or has otherwise, would be a silent default."""
    raw = yaml.safe_load((resources.files("gensr_lib.config") / f"{name}.yaml").read_text(encoding="utf-8"))
    profile = read_profile(name)
    assert profile.name == name

    def check(values: dict, found: dict, path: str) -> None:
        for key, value in values.items():
            if isinstance(value, dict):
                check(value, found[key], f"{path}.{key}")
            else:
                assert found[key] == value, f"{path}.{key}"

    check(raw, profile.model_dump(), name)


@pytest.mark.parametrize("name", PROFILES)
def test_models_and_their_options_in_a_profile_exist(name):
    profile = load_profile(name)
    for model, block in profile.models.items():
        options, training = resolve(profile, model)
        assert block.model.items() <= options.model_dump(mode="json").items()
        assert block.training.items() <= training.model_dump().items()


@pytest.mark.parametrize("model", available_models())
def test_every_model_has_settings_in_every_profile(model):
    for name in PROFILES:
        options, training = resolve(read_profile(name), model)
        assert isinstance(options, available_models()[model].Config) and training.batch_size >= 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "must hold blocks .* holds 'None'"),
        ("# only a comment", "must hold blocks"),
        ("- data", "must hold blocks"),
        ("paper", "holds 'paper'"),
        ("data: {min_interactions: 5", "no YAML: [\\s\\S]*line 1"),
        ("data: {}\n\tpocket: {}", "no YAML: [\\s\\S]*line 2"),
        ("data: 5", "option 'data'"),
        ("5: {}", "option '5'"),
        ("pocket: {half_life: .inf}", "'pocket.half_life'"),
    ],
)
def test_a_profile_that_cannot_be_read_names_its_file(tmp_path, monkeypatch, text, says):
    (tmp_path / "mine.yaml").write_text(text)
    monkeypatch.setattr(configs.resources, "files", lambda package: tmp_path)
    with pytest.raises(ConfigError, match=says) as error:
        read_profile("mine")
    assert str(tmp_path / "mine.yaml") in str(error.value)


def test_the_paper_profile_is_the_paper():
    paper = load_profile("paper")
    assert paper.backbone.name == "google/flan-t5-base"
    assert (paper.data.min_interactions, paper.data.eval_negatives) == (5, 99)


def test_the_paper_profile_has_the_released_schedule():
    """train.py, runner.py and train.sh of the released code, as far as this library has the same option."""
    _, training = resolve(load_profile("paper"), "gensr")
    assert (training.learning_rate, training.warmup_steps, training.gradient_clip) == (1e-4, 200, 1.0)
    assert (training.decay_epochs, training.weight_decay, training.first_validation) == (200, 1e-3, 4)
    prompts = 2 * training.batch_size * (1 + training.negatives)  # Amazon has a search for each purchase
    assert prompts == 200
    options = GenSRConfig.parse(load_profile("paper").models["gensr"].model)
    assert (options.history, options.layers, options.heads, options.dropout) == (20, 1, 2, 0.1)
    assert (options.item_tokens, options.beta, options.tau) == (10, 0.01, 0.07)


@pytest.mark.parametrize("name", ["pocket", "smoke"])
def test_both_joint_models_are_given_the_same(name):
    """GenSR reads the newest merged events, UniSAR so many of each behavior; and the tasks weigh the same."""
    profile = load_profile(name)
    (gensr, of_gensr), (_, of_unisar) = (resolve(profile, model) for model in ("gensr", "unisar"))
    assert gensr.history == profile.data.history_rec + profile.data.history_src
    same = ("search_weight", "batch_size", "negatives", "probe_steps", "probe_rows")
    assert all(getattr(of_gensr, field) == getattr(of_unisar, field) for field in same)


def test_a_changed_profile_leaves_the_world_as_it_is():
    """Also where it comes back from a file with every option written out, as in the processes of a study."""
    profile = load_profile("smoke")
    changed = profile.replace(data=profile.data.replace(min_interactions=2))
    assert changed.data.min_interactions == 2
    assert changed.pocket == profile.pocket == DefaultWorld(n_users=120, n_items=300, n_events=3000)
    stated = profile.pocket.model_dump(include=set(DefaultWorld.strengths))
    assert stated == DefaultWorld.strengths != PocketConfig().model_dump(include=set(stated))
    assert profile.pocket.replace(topic_taste=0.2) == DefaultWorld(**profile.pocket.model_dump() | {"topic_taste": 0.2})
    assert Profile.model_validate_json(profile.model_dump_json()).pocket == profile.pocket


def test_a_rate_that_would_fall_below_zero_is_refused():
    with pytest.raises(ConfigError, match=r"decay_epochs=3 is below epochs=4.*raise it to 4"):
        TrainingConfig(epochs=3).replace(epochs=4, decay_epochs=3)


def test_dials_stand_behind_the_name_of_a_profile():
    name = with_dials("pocket", {"task_angle": 60, "topic_taste": 0.35})
    assert name == "pocket+task_angle=60,topic_taste=0.35" and with_dials("pocket", {}) == "pocket"
    turned = load_profile(name)
    assert turned.name == name and (turned.pocket.task_angle, turned.pocket.topic_taste) == (60, 0.35)
    assert turned.pocket.no_text == DefaultWorld.strengths["no_text"], "the other dials stay"
    assert turned.replace(name="pocket", pocket=load_profile("pocket").pocket) == load_profile("pocket")
    assert load_profile("smoke+no_text=0").pocket.n_users == 120, "what the file says stays"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("poket+no_text=0", "unknown profile 'poket'; did you mean 'pocket'"),
        ("pocket+no_txt=0", "did you mean 'pocket.no_text'"),
        ("pocket+no_text=2", "less than or equal to 0.9"),
        ("pocket+no_text=some", "'pocket.no_text'.*number"),
        ("pocket+no_text", "behind the [+] stand dials"),
        ("pocket+", "behind the [+] stand dials"),
        ("pocket+a=1,", "behind the [+] stand dials"),
    ],
)
def test_dials_at_fault_are_refused(name, says):
    with pytest.raises(ConfigError, match=says):
        load_profile(name)


def test_unknown_profile():
    with pytest.raises(ConfigError, match=r"unknown profile 'poket'; did you mean 'pocket'\? Known: paper, pocket"):
        load_profile("poket")


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"pocket": {"n_userz": 5}}, r"unknown option 'pocket\.n_userz'; did you mean 'pocket\.n_users'"),
        ({"pockett": {}}, "unknown option 'pockett'"),
        ({"data": {"eval_negativs": 9}}, r"did you mean 'data\.eval_negatives'"),
        ({"pocket": {"n_users": 0}}, r"option 'pocket\.n_users': .*greater than or equal to 1, got 0"),
        ({"data": {"twins": "both"}}, r"option 'data\.twins': .*'hidden' or 'visible', got 'both'"),
        ({"backbone": {"heads": "four"}}, r"option 'backbone\.heads': .*got 'four'"),
        ({"backbone": {"heads": 3}}, r"option 'backbone': .*d_model 64 is not a multiple of heads 3"),
        ({"backbone": {"d_model": 8, "heads": 16}}, r"option 'backbone': .*d_model 8 .* heads 16"),
        ({"pocket": {"half_life": float("inf")}}, r"option 'pocket\.half_life': .*finite"),
    ],
)
def test_errors_name_the_option_by_its_path(values, says):
    with pytest.raises(ConfigError, match=says) as error:
        Profile.parse({"name": "mine", **values}, where="profile mine")
    assert str(error.value).startswith("profile mine: ")


def test_all_that_is_wrong_is_told_at_once():
    with pytest.raises(ConfigError, match=r"'data\.history_rec'.*'backbone\.d_model'"):
        Profile.parse({"name": "mine", "data": {"history_rec": 0}, "backbone": {"d_model": 1}})


@pytest.mark.parametrize(
    ("config", "bad"),
    [
        (TrainingConfig(), {"epochs": -1}),
        (TrainingConfig(), {"learning_rate": 0}),
        (TrainingConfig(), {"patience": 0}),
        (TrainingConfig(), {"epoch": 1}),
        (DataConfig(), {"test_history": "everything"}),
        (BackboneConfig(), {"vocabulary": 3}),
    ],
)
def test_replace_validates(config, bad):
    with pytest.raises(ConfigError, match=next(iter(bad))):
        config.replace(**bad)


def test_replace_changes_a_copy():
    before = TrainingConfig()
    assert before.replace(epochs=3).epochs == 3 and before.epochs == 10
    assert before.replace(epochs=3).replace(epochs=10) == before


def test_configurations_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        TrainingConfig().epochs = 3


def test_every_option_is_explained_or_plain():
    """A default that needs a reason has one: all options of the data protocol say what they are."""
    assert all(field.description for field in DataConfig.model_fields.values())
    for model in available_models().values():
        for name, field in model.Config.model_fields.items():
            assert field.default is not None or field.description, f"{model.name}.{name}"


# --- digest -----------------------------------------------------------------------------------


def test_digest_does_not_depend_on_order_and_does_on_values():
    assert digest({"a": 1, "b": {"c": 2, "d": 3}}) == digest({"b": {"d": 3, "c": 2}, "a": 1})
    assert digest({"a": 1}) != digest({"a": 2}) and digest([1, 2]) != digest([2, 1])
    assert digest(1, 2) != digest([1, 2])


def test_digest_is_the_same_on_every_machine():
    expected = hashlib.sha256(b'["gensr", {"a": 0.5, "b": null}]').hexdigest()[:16]
    assert digest("gensr", {"b": None, "a": 0.5}) == expected


def test_equal_configurations_have_equal_digests():
    one, two = DataConfig(), DataConfig.parse({"eval_negatives": 99})
    assert digest(one) == digest(two) != digest(one.replace(eval_negatives=98))
    assert digest(PocketConfig()) == digest(PocketConfig().model_dump(mode="json"))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"models": {"gensr": {"training": {"epochs": -1}}}}, "training of gensr.*'epochs'.*got -1"),
        ({"models": {"gensr": {"training": {"epochz": 1}}}}, "'epochz'; did you mean 'epochs'"),
        ({"models": {"gensr": {"model": {"tua": 0.1}}}}, "model gensr.*'tua'; did you mean 'tau'"),
        ({"models": {"unisar": {"model": {"width": 7}}}}, "model unisar.*multiple of heads"),
        ({"models": {"gnsr": {}}}, "unknown model 'gnsr'; did you mean 'gensr'"),
        ({"families": {"baselin": {}}}, "unknown family 'baselin'; did you mean 'baseline'"),
        ({"families": {"baseline": {"training": {"epochz": 1}}}}, "'epochz'; did you mean 'epochs'"),
        ({"models": {"gensr": {"model": {"heads": 3}}}}, "width of lightgcn 64 .* heads of gensr 3"),
        ({"models": {"lightgcn": {"model": {"width": 7}}}}, "width of lightgcn 7 .* heads of gensr 2"),
        ({"models": {"gensr": {"model": {"tau": float("inf")}}}}, "model gensr.*'tau'.*finite"),
        ({"models": {"gensr": {"training": {"learning_rate": float("inf")}}}}, "'learning_rate'.*finite"),
        ({"studies": {"options": {"gensrr": {}}}}, "unknown model 'gensrr'; did you mean 'gensr'"),
        ({"studies": {"options": {"gensr": {"tua": 1}}}}, "option of gensr 'tua'; did you mean 'tau'"),
        ({"studies": {"options": {"gensr": {"tau": -1}}}}, "'tau'.*greater than 0, got -1"),
        ({"studies": {"options": {"gensr": {"model": "x"}}}}, "unknown option of gensr 'model'"),
    ],
)
def test_a_typo_in_any_models_block_is_found_when_the_profile_is_loaded(values, says):
    with pytest.raises(ConfigError, match=f"profile mine: .*{says}"):
        checked(Profile.parse({"name": "mine", **values}))


def test_a_model_has_the_defaults_of_its_family_its_own_and_then_the_keywords():
    blocks = {
        "families": {"baseline": {"training": {"epochs": 3, "patience": 9}}, "generative": {}},
        "models": {"lightgcn": {"model": {"width": 6}, "training": {"epochs": 4}}},
    }
    profile = checked(Profile.parse({"name": "mine", **blocks}))
    options, training = resolve(profile, "lightgcn", layers=1, negatives=2)
    assert (options.width, options.layers) == (6, 1)
    assert (training.epochs, training.patience, training.negatives) == (4, 9, 2)
    assert resolve(profile, "unisar")[1].epochs == 3
    assert resolve(profile, "gensr")[1] == TrainingConfig()


def test_an_option_that_came_later_changes_a_hash_only_where_it_is_used():
    """Stored runs and studies are known by hashes of configurations that did not have it."""
    assert digest(DataConfig()) == digest(DataConfig(split="leave-one-out", both_behaviors=False))
    assert "split" not in DataConfig().identity() and "twins" in DataConfig().identity()
    used = DataConfig(split="last days")
    assert used.identity()["split"] == "last days" and digest(used) != digest(DataConfig())
    nested = Profile(name="x", data=used).identity()["data"]
    assert nested["split"] == "last days" and "both_behaviors" not in nested
    assert DataConfig(split="leave-one-out").model_dump(exclude_unset=True) == {"split": "leave-one-out"}
