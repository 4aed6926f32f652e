"""pairloop.toml: the user is told which line is wrong, why, and what was meant."""

import pytest

from annotate.config import AnnotateConfig
from generate.config import GenerateConfig
from pairloop.workspace import TEMPLATE, open_workspace
from storage.config import check_sections, read_toml, section
from storage.errors import ConfigurationError, WorkspaceError
from train.config import TrainConfig

SECTIONS = ("generate", "annotate", "train")


@pytest.fixture
def wrong(tmp_path):
    """The message a pairloop.toml with this text gives."""

    def message(text: str) -> str:
        (tmp_path / "pairloop.toml").write_text(text, encoding="utf-8")
        with pytest.raises(ConfigurationError) as caught:
            open_workspace(tmp_path)
        return str(caught.value).replace(str(tmp_path), "W")

    return message


def test_what_is_not_in_the_file_has_its_default(tmp_path):
    (tmp_path / "pairloop.toml").write_text('[generate]\nmodel = "m"\n', encoding="utf-8")
    workspace = open_workspace(tmp_path)
    assert workspace.generate == GenerateConfig(model="m")
    assert workspace.annotate == AnnotateConfig()
    assert workspace.train == TrainConfig()


def test_the_template_of_a_new_workspace_is_a_good_configuration(tmp_path):
    path = tmp_path / "pairloop.toml"
    path.write_text(TEMPLATE.format(model='"owner/name"'), encoding="utf-8")
    assert open_workspace(tmp_path).generate == GenerateConfig(model="owner/name")


def test_a_model_folder_inside_the_workspace_is_found_from_anywhere(tmp_path):
    (tmp_path / "pairloop.toml").write_text('[generate]\nmodel = "my-model"\n', encoding="utf-8")
    assert open_workspace(tmp_path).generate.model == "my-model"
    (tmp_path / "my-model").mkdir()
    assert open_workspace(tmp_path).generate.model == str(tmp_path / "my-model")


def test_an_unknown_key_is_named_with_its_line_and_the_nearest_known_one(wrong):
    message = wrong('[generate]\nmodel = "m"\n\n[annotate]\nvotes_per_pear = 3\n')
    assert message.startswith("W/pairloop.toml, line 5: [annotate] has no key 'votes_per_pear'.")
    assert "Did you mean 'votes_per_pair'?" in message


def test_a_key_like_no_other_gets_no_suggestion(wrong):
    assert "Did you mean" not in wrong('[generate]\nmodel = "m"\nzzzzzz = 1\n')


def test_an_unknown_section_is_named_with_its_line_and_the_nearest_known_one(wrong):
    message = wrong('[generate]\nmodel = "m"\n[anotate]\nport = 1\n')
    assert message.startswith("W/pairloop.toml, line 3: there is no section [anotate].")
    assert "Did you mean 'annotate'?" in message


def test_a_key_above_all_sections_is_no_section(wrong):
    """Also where a section further down has a key of that name."""
    message = wrong('seed = 1\n[generate]\nmodel = "m"\n')
    assert message.startswith("W/pairloop.toml, line 1: there is no section [seed].")
    assert wrong('[generate]\nmodel = "m"\n[model]\n').startswith("W/pairloop.toml, line 3:")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('votes_per_pair = "many"', "annotate.votes_per_pair: .*integer.*'many'"),
        ("votes_per_pair = 0", "annotate.votes_per_pair: .*greater than or equal to 1.*got 0"),
        ("votes_per_pair = 2.5", "annotate.votes_per_pair: .*got 2.5"),
        ("tie_breaker = 7", "annotate.tie_breaker: .*boolean.*got 7"),
        ("lease_seconds = nan", "annotate.lease_seconds: .*got nan"),
        ("guidelines = ['a']", "annotate.guidelines: .*string"),
    ],
)
def test_a_wrong_value_is_named_with_its_line_and_what_is_wanted(tmp_path, line, says):
    path = tmp_path / "pairloop.toml"
    path.write_text(f"[annotate]\n# the next line is wrong\n{line}\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=f"toml, line 3: {says}"):
        section(path, read_toml(path), "annotate", AnnotateConfig)


def test_a_wrong_value_inside_a_list_is_found(wrong):
    message = wrong('[generate]\nmodel = "m"\ntemperatures = [0.7, -1.0]\n')
    assert "line 3: generate.temperatures.1: " in message
    assert "got -1.0" in message


def test_a_key_that_two_sections_have_is_reported_where_it_is_wrong(wrong):
    message = wrong('[generate]\nmodel = "m"\nseed = 1\n[annotate]\nport = 1\nseed = "x"\n')
    assert message.startswith("W/pairloop.toml, line 6: annotate.seed:")


def test_every_mistake_of_a_section_is_reported_at_once(wrong):
    message = wrong('[generate]\nmodel = "m"\ntop_p = 2.0\nmax_token = 5\nseed = "x"\n')
    places = {line.split(":")[0] for line in message.splitlines()}
    assert places == {f"W/pairloop.toml, line {n}" for n in (3, 4, 5)}


def test_a_missing_model_is_asked_for(wrong):
    assert "generate.model: Field required" in wrong("[annotate]\n")


def test_shares_that_leave_nothing_to_train_on_are_refused(wrong):
    text = '[generate]\nmodel = "m"\nvalidation_share = 0.5\ntest_share = 0.5\n'
    assert "must leave something to train on" in wrong(text)


def test_keys_that_do_not_go_together_are_told_in_one_sentence(wrong):
    text = '[generate]\nmodel = "m"\n[train]\nmethod = "grpo"\nsft_weight = 0.2\n'
    assert wrong(text) == (
        'W/pairloop.toml, line 3: train: sft_weight is not used by method = "grpo", only by "dpo": '
        'take sft_weight out, or set method = "dpo".'
    )


def test_broken_toml_is_reported_with_its_line(wrong):
    message = wrong('[generate]\nmodel = "m"\nseed =\n')
    assert "is not valid TOML" in message
    assert "line 3" in message


def test_a_section_given_as_a_value_is_refused(wrong):
    assert "[annotate] must be a section, not a value" in wrong(
        'annotate = 3\n[generate]\nmodel="m"'
    )


def test_a_file_in_another_encoding_is_reported(tmp_path):
    path = tmp_path / "pairloop.toml"
    path.write_bytes('[generate]\nmodel = "modèle"\n'.encode("latin-1"))
    with pytest.raises(ConfigurationError, match="is not UTF-8 text"):
        read_toml(path)


def test_a_folder_without_the_file_is_no_workspace(tmp_path):
    with pytest.raises(WorkspaceError, match=r"is not a pairloop workspace.*`pairloop init DIR`"):
        open_workspace(tmp_path)


def test_known_sections_pass(tmp_path):
    check_sections(tmp_path / "pairloop.toml", {name: {} for name in SECTIONS}, known=SECTIONS)
