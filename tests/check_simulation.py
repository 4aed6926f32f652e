"""CI: the simulated loop must show a better policy. `check_simulation.py RESULT.json`."""

import json
import sys
from pathlib import Path


def main(path: str) -> None:
    result = json.loads(Path(path).read_text(encoding="utf-8").strip().splitlines()[-1])
    last = result["rounds"][-1]
    assert [r["round"] for r in result["rounds"]] == [1, 2], result
    assert last["win_rate_low"] > 0.5, f"the interval is not wholly above 50 %: {last}"
    assert result["seconds"] < 600, f"took {result['seconds']:.0f} s, 600 allowed"
    print(f"Round 2 wins {100 * last['win_rate']:.1f} % against SFT: above 50 % as it must be.")


if __name__ == "__main__":
    main(sys.argv[1])
