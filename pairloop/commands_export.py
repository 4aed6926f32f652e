"""`pairloop export`: what people settled as a data set, or a policy as a model; here or on the Hub."""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from pairloop.options import Json, WorkspaceDir
from storage.errors import ConfigurationError
from storage.words import many

if TYPE_CHECKING:
    from pairloop.workspace import Workspace
    from train.export import Exported
    from train.export_formats import Format
    from train.handoff import Tool
    from train.hub import Pushed
    from train.policy_export import SavedPolicy

E = TypeVar("E", bound=StrEnum)


def register(app: typer.Typer) -> None:
    """Add the command to the front door."""
    app.command("export")(export)


def export(
    out: Annotated[
        Path | None, typer.Argument(help="Folder to write; with --hub exports/OWNER--NAME.")
    ] = None,
    *,
    workspace: WorkspaceDir = Path(),
    shape: Annotated[
        str, typer.Option("--format", help="dpo, kto, reward, ranking or votes.")
    ] = "dpo",
    policy: Annotated[
        str, typer.Option(help="Export this policy instead: latest, sft, round-N or an id.")
    ] = "",
    merged: Annotated[
        bool, typer.Option("--merged", help="With --policy: the whole model, not an adapter.")
    ] = False,
    handoff: Annotated[
        list[str] | None,
        typer.Option(
            "--for", help="Also files for trl, axolotl, llama-factory, unsloth, or gguf (--policy)."
        ),
    ] = None,
    to_disk: Annotated[
        bool, typer.Option("--to-disk", help="Also disk/, for datasets.load_from_disk.")
    ] = False,
    names: Annotated[
        bool, typer.Option("--names", help="With votes: people's names and reasons, not numbers.")
    ] = False,
    licence: Annotated[
        str, typer.Option("--license", help="For the card, as the Hub names it: cc-by-4.0, ...")
    ] = "unknown",
    hub: Annotated[
        str, typer.Option(metavar="OWNER/NAME", help="Also send it to the Hub, private.")
    ] = "",
    public: Annotated[
        bool, typer.Option("--public", help="With --hub: everybody may read it.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write settled pairs as a data set, or a policy as a model. --hub sends it to the Hub."""
    from pairloop.workspace import open_workspace
    from train.export_formats import Format
    from train.handoff import Tool
    from train.hub import RepoType, check_repo, push

    space = open_workspace(workspace)
    tools = [_one_of(Tool, tool, "--for") for tool in dict.fromkeys(handoff or [])]
    wanted = _one_of(Format, shape, "--format")
    if out is None and not hub:
        raise ConfigurationError(
            "Name a folder to write (pairloop export OUT), or --hub OWNER/NAME."
        )
    if public and not hub:
        raise ConfigurationError("--public says who may read it on the Hub: it goes with --hub.")
    if hub:
        check_repo(hub)
    folder = out if out is not None else space.root / "exports" / hub.replace("/", "--")
    done: Exported | SavedPolicy
    if policy:
        _refuse(
            {"--format": shape != "dpo", "--to-disk": to_disk, "--names": names},
            "is about data and does not go with --policy.",
        )
        done = _policy(space, policy, folder, merged=merged, tools=tools, licence=licence)
    else:
        _refuse({"--merged": merged}, "goes with --policy.")
        _refuse({"--names": names and wanted is not Format.VOTES}, "goes with --format votes.")
        done = _data(space, folder, wanted, tools, to_disk=to_disk, names=names, licence=licence)
    kind = RepoType.MODEL if policy else RepoType.DATASET
    pushed = push(done.folder, hub, kind, public=public) if hub else None
    _say(done, pushed, wanted, as_json=as_json)


def _one_of(kind: type[E], text: str, flag: str) -> E:
    try:
        return kind(text)
    except ValueError:
        raise ConfigurationError(f"{flag} takes {', '.join(kind)}, not {text!r}.") from None


def _refuse(given: dict[str, bool], why: str) -> None:
    for flag, there in given.items():
        if there:
            raise ConfigurationError(f"{flag} {why}")


def _data(
    space: "Workspace",
    folder: Path,
    shape: "Format",
    tools: list["Tool"],
    *,
    to_disk: bool,
    names: bool,
    licence: str,
) -> "Exported":
    from annotate.consensus import settle
    from annotate.report_card import report_card
    from annotate.report_data import full_report
    from annotate.settings import in_force
    from pairloop.report import progress_bar
    from storage.store import utc_now
    from train.export import Wanted
    from train.export import export as write
    from train.handoff import Handoff, check_handoff

    check_handoff(tools, shape)
    model = Path(space.generate.model).expanduser()
    base = str(model.resolve()) if model.is_dir() else space.generate.model
    wanted = Wanted(
        shape=shape,
        judge_votes=space.train.judge_votes,
        names=names,
        to_disk=to_disk,
        licence=licence,
        handoff=Handoff(tools=tools, base_model=base, config=space.train) if tools else None,
    )
    with space.store() as store, progress_bar("Exporting") as tick:
        config = in_force(store, space.annotate)
        settle(store, config)
        card = report_card(full_report(store, config, now=utc_now()), names=names)
        return write(
            store,
            folder,
            agreement=card,
            wanted=wanted,
            progress=lambda done, total: tick(done, total, "rows"),
        )


def _policy(
    space: "Workspace",
    name: str,
    folder: Path,
    *,
    merged: bool,
    tools: list["Tool"],
    licence: str,
) -> "SavedPolicy":
    from train.handoff import Tool
    from train.policy_export import export_policy

    for tool in tools:
        if tool is not Tool.GGUF:
            raise ConfigurationError(
                f"--for {tool} is about data, not about a model. Leave out --policy."
            )
    with space.store() as store:
        return export_policy(
            store, space.root, name, folder, merged=merged, gguf=bool(tools), licence=licence
        )


def _say(
    done: "Exported | SavedPolicy", pushed: "Pushed | None", shape: "Format", *, as_json: bool
) -> None:
    from train.export import Exported

    hub = {} if pushed is None else {"url": pushed.url, "private": pushed.private}
    if as_json:
        if isinstance(done, Exported):
            found: dict[str, object] = {
                "folder": str(done.folder),
                "format": shape.value,
                "rows": dict(done.rows),
                "judged": dict(done.judged),
                "drops": dict(done.drops),
                "left_out": {tool: dict(why) for tool, why in done.left_out.items()},
            }
        else:
            found = {
                "folder": str(done.folder),
                "policy": done.policy.id,
                "round": done.policy.round,
                "merged": done.merged,
                "checked": done.checked,
                "error": done.error,
                "template": done.template,
            }
        print(json.dumps(found | hub))
        return
    sent = "" if pushed is None else f" and {'privately ' * pushed.private}to {pushed.url}"
    if isinstance(done, Exported):
        print(_data_words(done, shape, sent))
    else:
        print(_policy_words(done, sent))


def _data_words(done: "Exported", shape: "Format", sent: str) -> str:
    from pairloop.report import counted
    from train.export_formats import Format

    whats = {
        Format.DPO: "preferences",
        Format.KTO: "answers",
        Format.REWARD: "preferences",
        Format.RANKING: "ranked prompts",
        Format.VOTES: "judgments",
    }
    rows = ", ".join(f"{n} {split}" for split, n in done.rows.items())
    lines = [f"Left out: {counted(done.drops)}."]
    lines += [f"Left out for {tool}: {counted(why)}." for tool, why in done.left_out.items()]
    judged = f" and {many(sum(done.judged.values()), 'judged pair')}" if done.judged else ""
    more = ', or with "judged" after it for every judged pair' if done.judged else ""
    lines.append(
        f"Wrote {rows} {whats[shape]}{judged} to {done.folder}{sent}. "
        f'Next: datasets.load_dataset("{done.folder}"){more}'
    )
    return "\n".join(lines)


def _policy_words(done: "SavedPolicy", sent: str) -> str:
    what = "the adapter" if not done.merged and done.policy.adapter else "the whole model"
    checked = (
        "not checked: no answers with token ids are stored"
        if done.error is None
        else f"{many(done.checked, 'stored answer gets', 'stored answers get')} the policy's log-probabilities, "
        f"to {done.error:.1e} nats per token"
    )
    match done.template:
        case None:
            after = "Next: pairloop evaluate, or load it with transformers"
        case True:
            after = "Next: sh gguf/convert.sh in that folder"
        case False:
            after = "Next: sh gguf/convert.sh there; the Modelfile has no template, see in it why"
    return f"Wrote {what} of round {done.policy.round} to {done.folder}{sent}; {checked}. {after}"
