"""A folder of ours to the Hugging Face Hub: private unless asked otherwise, never over others' work.

The only file that talks to the Hub to write. The token is huggingface_hub's own business (HF_TOKEN,
or `hf auth login`): it is never read, kept or printed here. A broken upload is taken up by running
the same command again: what has arrived is not sent a second time.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from storage.errors import ConfigurationError, ConflictError, PairloopError, StoreError
from storage.words import many
from train.export_folder import MARK

if TYPE_CHECKING:
    from huggingface_hub import HfApi

ITS_OWN = {".gitattributes", "README.md", "LICENSE"}  # what a repository may begin with


class RepoType(StrEnum):
    """What the Hub keeps in a repository."""

    DATASET = "dataset"
    MODEL = "model"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """Where it is now."""

    url: str
    private: bool


def check_repo(repo: str) -> None:
    """Raise ConfigurationError for what is no owner/name, or when there is no token to write with."""
    from huggingface_hub import get_token
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils._validators import validate_repo_id

    try:
        validate_repo_id(repo)
    except HFValidationError:
        repo = ""
    if repo.count("/") != 1:
        raise ConfigurationError("--hub takes owner/name, such as --hub ann/tea-preferences.")
    if get_token() is None:
        raise ConfigurationError(
            "Writing to the Hub needs a token: set HF_TOKEN, or run `hf auth login`. "
            "Make one with the right to write at https://huggingface.co/settings/tokens ."
        )


def push(folder: Path, repo: str, kind: RepoType, *, public: bool) -> Pushed:
    """Upload the folder; of an earlier export there, files that are no more are removed.

    Raises ConflictError when the repository holds anything else, or is public and that was not
    asked for; ConfigurationError and StoreError when the Hub refuses or cannot be reached.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    with _explained(repo, folder):
        private = _ready(api, repo, kind, public=public)
        api.upload_folder(
            repo_id=repo,
            repo_type=kind.value,
            folder_path=folder,
            commit_message="Export of pairloop",
            ignore_patterns=["disk/*"],
            delete_patterns=["*"],
        )
    place = "datasets/" if kind is RepoType.DATASET else ""
    return Pushed(url=f"{api.endpoint}/{place}{repo}", private=private)


def _ready(api: "HfApi", repo: str, kind: RepoType, *, public: bool) -> bool:
    """Make the repository where there is none; whether it is private."""
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        dataset = kind is RepoType.DATASET
        info = api.dataset_info(repo) if dataset else api.model_info(repo)
    except RepositoryNotFoundError as error:
        if (
            error.response.status_code != 404
        ):  # the Hub answers 401 to a token that it does not know
            raise
        api.create_repo(repo, repo_type=kind.value, private=not public)
        return not public
    names = {file.rfilename for file in info.siblings or []}
    if MARK not in names and names - ITS_OWN:
        raise ConflictError(
            f"{repo} on the Hub holds {many(len(names), 'file')} and is no export of pairloop, so nothing "
            "was sent. Choose another name."
        )
    if not info.private and not public:
        raise ConflictError(
            f"{repo} on the Hub is public, so nothing was sent. Add --public if everybody may read "
            "this, or make the repository private in its settings."
        )
    return bool(info.private)


@contextmanager
def _explained(repo: str, folder: Path) -> Iterator[None]:
    """Turn what the Hub says into what to do; the exported folder is complete either way."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    kept = f"{folder} is complete; run the same command again to send what is missing."
    try:
        yield
    except PairloopError:
        raise
    except OfflineModeIsEnabled:
        raise ConfigurationError(
            f"HF_HUB_OFFLINE is set, so nothing can be sent. Unset it. {kept}"
        ) from None
    except (httpx2.HTTPError, RuntimeError) as error:
        for cause in _causes(error):  # an upload's own error is a RuntimeError around the Hub's
            if isinstance(cause, HfHubHTTPError):
                raise _refused(cause.response.status_code, repo, kept) from None
            if isinstance(cause, httpx2.HTTPError):
                raise StoreError(
                    f"The Hub can't be reached ({type(cause).__name__}). Check the network, and "
                    f"HF_ENDPOINT if it is set. {kept}"
                ) from None
        raise StoreError(f"The upload broke off ({type(error).__name__}). {kept}") from error


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _refused(status: int, repo: str, kept: str) -> PairloopError:
    match status:
        case 401:
            return ConfigurationError(
                "The Hub does not know this token (401). Set HF_TOKEN to a valid one, or run "
                f"`hf auth login`. {kept}"
            )
        case 403:
            return ConfigurationError(
                f"The token may not write to {repo} (403). It needs the right to write, and its "
                f"account to be {repo.split('/', maxsplit=1)[0]} or a member of it. {kept}"
            )
        case 429:
            return StoreError(f"The Hub asks to slow down (429). Wait some minutes. {kept}")
        case _:
            return StoreError(f"The Hub answered {status} for {repo}. {kept}")
