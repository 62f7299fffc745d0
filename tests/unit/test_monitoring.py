"""The alert rules and the dashboard, checked with promtool and by Grafana's rules."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

MONITORING = Path(__file__).parents[2] / "deploy" / "monitoring"
TESTS = Path(__file__).with_name("alerts_test.yml")
DASHBOARD = json.loads((MONITORING / "dashboard.json").read_text())
RULES: list[dict[str, Any]] = yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"][0]["rules"]
WIDTH = 24  # columns of Grafana's grid


def promtool(*arguments: str, cwd: Path) -> str:
    ended = subprocess.run(["promtool", *arguments], cwd=cwd, capture_output=True, text=True, timeout=60, check=False)
    body = ended.stdout + ended.stderr
    assert ended.returncode == 0, body
    return body


def test_prometheus_takes_the_rules_and_the_configuration() -> None:
    assert f"SUCCESS: {len(RULES)} rules found" in promtool("check", "rules", "alerts.yml", cwd=MONITORING)
    promtool("check", "config", "prometheus.yml", cwd=MONITORING)


def test_each_alert_fires_for_what_it_is_about_alone(tmp_path: Path) -> None:
    for path in (MONITORING / "alerts.yml", TESTS):
        shutil.copy(path, tmp_path)
    assert "SUCCESS" in promtool("test", "rules", TESTS.name, cwd=tmp_path)


def test_each_alert_is_tested_to_fire_and_not_to() -> None:
    cases = [case for test in yaml.safe_load(TESTS.read_text())["tests"] for case in test["alert_rule_test"]]
    names = {rule["alert"] for rule in RULES}

    assert {case["alertname"] for case in cases if case.get("exp_alerts")} == names
    assert {case["alertname"] for case in cases if not case.get("exp_alerts")} == names


def test_prometheus_parses_the_dashboards_expressions(tmp_path: Path) -> None:
    expressions = [
        target["expr"].replace("$__rate_interval", "1m")
        for panel in DASHBOARD["panels"]
        for target in panel.get("targets", [])
    ]
    rules = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(expressions)]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))

    assert f"SUCCESS: {len(expressions)} rules found" in promtool("check", "rules", "rules.yml", cwd=tmp_path)


def test_the_panels_lie_side_by_side() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert place["x"] + place["w"] <= WIDTH
        assert not cells & taken, panel["title"]
        taken |= cells
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(numbers) == len(set(numbers))


def test_each_alert_has_a_page_with_its_remedy() -> None:
    pages = {path.stem: path.read_text() for path in (MONITORING.parents[1] / "docs/alerts").glob("Shirase*.md")}
    assert set(pages) == {rule["alert"] for rule in RULES}
    for name, page in pages.items():
        headings = [line for line in page.splitlines() if line.startswith("#")]
        assert headings == [f"# {name}", "## What it means", "## How to see it", "## How to fix it"]


def test_the_alerts_pages_name_metrics_that_exist() -> None:
    declared = (MONITORING.parents[1] / "api/shirase/metrics.py").read_text()
    declared += (MONITORING.parents[1] / "api/shirase/web/scrape.py").read_text()
    for path in (MONITORING.parents[1] / "docs/alerts").glob("Shirase*.md"):
        for name in re.findall(r"\bshirase_[a-z_]+", path.read_text()):
            assert name.removesuffix("_total") in declared, f"{path.name}: {name}"
