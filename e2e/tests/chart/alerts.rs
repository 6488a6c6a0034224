//! The alerts fire when they should, and not otherwise, tried out by Prometheus' own tool.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use e2e::{helm, paths};

use super::{here, tools};

/// A file of rules with its tests, and what of it they must find wrong.
pub(super) struct Alerts {
    pub(super) rules: &'static str,
    tests: &'static str,
    wrong: &'static [(&'static str, &'static str)],
}

pub(super) const ALERTS: [Alerts; 2] = [
    Alerts {
        rules: "files/rules.yaml",
        tests: "alerts/alerts.yaml",
        wrong: &[
            ("> 0 unless", "> 0.3 unless"),
            ("max == 1)", "max >= 0)"),
            ("unless on (job)", "unless on ()"),
            ("or absent(last_over_time(sluice:leader:max[1d]))", ""),
            ("phase=\"Holding\"", "phase=\"Waiting\""),
            ("phase=\"Failed\"", "phase=\"Finalising\""),
            ("for: 1h", "for: 30m"),
            ("for: 1h", "for: 2h"),
            ("for: 5m", "for: 1m"),
            ("[2m]", "[15m]"),
            ("[2m]", "[1m]"),
            ("[1d]", "[1h]"),
            (
                "last_over_time(sluice:canary",
                "max_over_time(sluice:canary",
            ),
            ("severity: critical", "severity: warning"),
        ],
    },
    Alerts {
        rules: "files/git-sync-rules.yaml",
        tests: "alerts/git-sync.yaml",
        wrong: &[
            ("seconds) > 900\n      or (", "seconds) > 1200\n      or ("),
            ("seconds) > 900\n      or (", "seconds) > 60\n      or ("),
            (
                "_seconds) > 900\n        and",
                "_seconds) > 3600\n        and",
            ),
            (
                "_seconds) > 900\n        and",
                "_seconds) > 60\n        and",
            ),
            ("and on (job)", "or on (job)"),
            ("and on (job)", "and on ()"),
            ("ok=\"false\"", "ok=\"true\""),
            ("[15m]", "[3m]"),
            ("[15m]", "[30m]"),
            ("unless on (job)", "unless on ()"),
            ("[1d]", "[1h]"),
            (
                "or absent(last_over_time(sluice_git_sync_lag_seconds[1d]))",
                "",
            ),
            ("for: 5m", "for: 1m"),
            ("for: 5m", "for: 15m"),
        ],
    },
];

pub(super) fn promtool(command: &str, file: &Path) -> Output {
    Command::new(&tools().promtool)
        .args([command, "rules"])
        .arg(file)
        .output()
        .unwrap()
}

pub(super) fn said(output: &Output) -> String {
    let all = [output.stdout.clone(), output.stderr.clone()].concat();
    String::from_utf8_lossy(&all).into_owned()
}

#[test]
fn fire_and_are_silent_as_their_tests_expect() {
    for Alerts { rules, tests, .. } in ALERTS {
        let checked = promtool("check", &helm::chart().join(rules));
        assert!(checked.status.success(), "{}", said(&checked));
        let tested = promtool("test", &here(tests));
        assert!(tested.status.success(), "{}", said(&tested));
    }
}

/// So that the tests above are known to look.
#[test]
fn that_are_wrong_are_found() {
    for alerts in ALERTS {
        let rules = fs::read_to_string(helm::chart().join(alerts.rules)).unwrap();
        let tests = fs::read_to_string(here(alerts.tests)).unwrap();
        let folder = paths::scratch("alerts").unwrap();
        fs::create_dir_all(&folder).unwrap();
        let link = format!("../../../../charts/sluice/{}", alerts.rules);
        assert!(tests.contains(&link));
        let copy = folder.join("alerts.yaml");
        fs::write(&copy, tests.replace(&link, "rules.yaml")).unwrap();
        for (right, wrong) in alerts.wrong {
            assert!(rules.contains(right), "no rule says {right}");
            fs::write(folder.join("rules.yaml"), rules.replace(right, wrong)).unwrap();
            let tested = promtool("test", &copy);
            assert!(
                !tested.status.success(),
                "nobody finds that {right} is {wrong}"
            );
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
