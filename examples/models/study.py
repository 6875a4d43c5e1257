#!/usr/bin/env python3
"""Solves the models of an exported decision with highspy, and says in words of the cluster what comes out.

    packwright export -f examples/getting-started --out decision
    python examples/models/study.py decision

Needs highspy (`pip install highspy`). Ends with 1 where a model comes to something else than is stored.
"""

import json
import sys
from pathlib import Path

import highspy

# Objectives have 15 digits in the files; HiGHS stops within these tolerances.
TOLERANCE = 1e-6


def solved(file: Path) -> highspy.Highs:
    highs = highspy.Highs()
    highs.silent()
    highs.readModel(str(file))
    highs.run()
    if highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        sys.exit(f"{file}: {highs.modelStatusToString(highs.getModelStatus())}")
    return highs


def in_words(column: dict) -> str:
    """What a column is, without what it costs and in which row it stands."""
    offering = column.get("offering", {})
    bought = " ".join(str(offering[key]) for key in ("instance_type", "capacity_type", "zone") if key in offering)
    rest = {key: value for key, value in column.items() if key not in ("name", "is", "offering", "price_micro_usd")}
    return " ".join(filter(None, [column["is"], bought, json.dumps(rest)]))


def study(folder: Path) -> bool:
    is_as_stored = True
    for model in json.loads((folder / "models.json").read_text())["models"]:
        highs = solved(folder / f"{model['name']}.mps")
        found, stored = highs.getObjectiveValue(), model["objective"]
        is_same = abs(found - stored) <= TOLERANCE * max(1.0, abs(stored))
        is_as_stored &= is_same
        size = f"{highs.getNumCol()} columns, {highs.getNumRow()} rows"
        print(f"{model['name']} ({size}): {found:.8g} {model['unit']}, {'as' if is_same else 'NOT as'} stored: {stored:.8g}")
        for column, value in zip(model["columns"], highs.getSolution().col_value, strict=True):
            if value > TOLERANCE:
                print(f"  {column['name']} = {value:.6g}: {in_words(column)}")
        if highs.getInfo().mip_node_count < 0:  # a linear program: which rows bind, and what they are worth
            worth = zip(model["rows"], highs.getSolution().row_dual, strict=True)
            for row, dual in [(row, dual) for row, dual in worth if abs(dual) > TOLERANCE][:10]:
                print(f"  {row['name']} is worth {dual:.6g}: {in_words(row)}")
    return is_as_stored


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(0 if study(Path(sys.argv[1])) else 1)
