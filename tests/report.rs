//! `packwright report`: pages as a browser shows them, with the network cut off.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cli::packwright;

/// Programs of Chromium, the smallest first.
const BROWSERS: [&str; 5] = ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome"];

fn browser() -> PathBuf {
    if let Some(named) = std::env::var_os("PACKWRIGHT_BROWSER") {
        return named.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        BROWSERS.iter().find_map(|name| std::env::split_paths(&path).map(|of| of.join(name)).find(|of| of.exists()));
    found.expect(
        "a Chromium: `scripts/setup.sh tests` installs it where the system packs it, PACKWRIGHT_BROWSER names another",
    )
}

/// A folder of its own.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("report-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// The document once its scripts have run, as HTML.
fn shown(page: &Path) -> String {
    let profile = page.parent().unwrap().join("profile");
    let output = Command::new(browser())
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            "--virtual-time-budget=5000",
        ])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg("--dump-dom")
        .arg(format!("file://{}", page.display()))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let dom = String::from_utf8(output.stdout).unwrap();
    assert!(dom.contains("</html>"), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(dom.contains("data-ready=\"yes\""), "the script has not come to its end:\n{dom}");
    dom
}

/// The page that a command writes, in a folder that is gone afterwards; with what a browser makes of it.
fn page(name: &str, args: &[&str], code: i32) -> (String, String) {
    let folder = folder(name);
    let file = folder.join("page.html");
    let file_name = file.to_str().unwrap();
    let args: Vec<&str> = args.iter().map(|arg| if *arg == "FILE" { file_name } else { arg }).collect();
    let output = packwright(&args).output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
    let written = fs::read_to_string(&file).unwrap();
    let dom = shown(&file);
    fs::remove_dir_all(&folder).unwrap();
    // nothing that a browser would fetch
    for reference in
        ["src=", "href=", "url(", "@import", "<link", "<img", "<iframe", "http:", "https:", "fetch(", "import("]
    {
        assert!(!written.contains(reference), "{name}: {reference} in the page");
    }
    (written, dom)
}

fn count(text: &str, of: &str) -> usize {
    text.matches(of).count()
}

#[test]
fn a_plan_shows_its_nodes_their_pods_and_why() {
    let args = ["report", "-f", "examples/getting-started", "--work-limits", "usual", "--out", "FILE"];
    let (_, dom) = page("plan", &args, 0);
    let plan = packwright(&["plan", "-f", "examples/getting-started", "--work-limits", "usual", "-o", "json"])
        .output()
        .unwrap();
    let plan: serde_json::Value = serde_json::from_slice(&plan.stdout).unwrap();
    let cost = format!("${:.4}", plan["summary"]["cost_usd_hour"].as_f64().unwrap());
    for text in [cost.as_str(), "Karpenter's packing", "proven bound", "Deployment default/inflate", "Why this type?"] {
        assert!(dom.contains(text), "{text} is not shown:\n{dom}");
    }
    let types: std::collections::BTreeSet<&str> =
        plan["launches"].as_array().unwrap().iter().map(|of| of["instance_type"].as_str().unwrap()).collect();
    for of in types {
        assert!(dom.contains(&format!("<b>{of}</b>")), "{of}");
    }
    assert!(count(&dom, "class=\"part w0\"") >= 2, "pods fill cpu and memory:\n{dom}");
}

#[test]
fn texts_of_the_input_are_texts() {
    let folder = folder("escaped");
    let wrong = folder.join("wrong.yaml");
    fs::write(&wrong, "apiVersion: v1\nkind: Pod\nmetadata: {name: \"<script>alert(1)</script>\"}\nspec: {}\n")
        .unwrap();
    let wrong = wrong.to_str().unwrap();
    let args =
        ["report", "-f", "examples/getting-started", "-f", wrong, "--title", "<b>&\"bold\"</b>", "--out", "FILE"];
    let (_, dom) = page("texts", &args, 2);
    fs::remove_dir_all(folder).unwrap();
    assert!(!dom.contains("<script>alert") && !dom.contains("<b>&amp;"), "{dom}");
    assert!(dom.contains("<h1>&lt;b&gt;&amp;\"bold\"&lt;/b&gt;</h1>"), "{dom}");
    assert!(dom.contains("&lt;script&gt;alert(1)"), "the error is shown:\n{dom}");
}

#[test]
fn a_large_cluster_is_joined_to_a_few_bars() {
    let openb = "benchmarks/instances/openb";
    let (pools, pods) = (format!("{openb}/pools.yaml"), format!("{openb}/deployments.yaml"));
    let args = ["report", "-f", &pools, "-f", &pods, "--solver", "greedy", "--time-limit", "60s", "--out", "FILE"];
    let (written, dom) = page("large", &args, 0);
    let cards = count(&dom, "<article class=\"card new\">");
    assert!((5..=80).contains(&cards), "{cards} cards for 8,152 pods");
    assert!(written.len() < 4_000_000, "{} bytes", written.len());
}

/// The bound is that of plans that leave as few pods: Karpenter's packing, which leaves more, may cost less.
#[test]
fn a_plan_that_leaves_pods_claims_nothing_of_plans_that_leave_more() {
    let args = ["report", "-f", "examples/short-of-room", "--work-limits", "usual", "--out", "FILE"];
    let (_, dom) = page("short", &args, 3);
    let plan = packwright(&["plan", "-f", "examples/short-of-room", "--work-limits", "usual"]).output().unwrap();
    let plan = String::from_utf8(plan.stdout).unwrap();
    assert!(
        dom.contains("no plan that leaves as few pods costs less") && !dom.contains("no plan for these pods"),
        "{dom}"
    );
    let remarks: Vec<&str> =
        plan.lines().filter(|line| line.contains("left: proven") || line.contains("packed after")).collect();
    assert!(!remarks.is_empty(), "{plan}");
    for remark in remarks {
        assert!(dom.contains(remark), "{remark} is not shown:\n{dom}");
    }
}

/// Two half-empty nodes of which one is enough: the page shows both sides.
#[test]
fn what_goes_is_shown_before_and_after() {
    let args = [
        "report",
        "-f",
        "examples/half-empty",
        "--scope",
        "all",
        "--consolidation",
        "any",
        "--work-limits",
        "usual",
        "--out",
        "FILE",
    ];
    let (_, dom) = page("moves", &args, 0);
    for text in ["<b>now</b>", "<b>after</b>", "class=\"card goes\"", "<b>saves $", "saved an hour at least"] {
        assert!(dom.contains(text), "{text} is not shown:\n{dom}");
    }
}

#[test]
fn a_simulation_shows_its_cost_against_the_bound() {
    let args = ["simulate", "examples/simulations/inflate", "--alert-nodes", "1", "--report", "FILE"];
    let (_, dom) = page("simulation", &args, 0);
    assert!(dom.contains("PackwrightManyNodes fires after "), "{dom}");
    assert_eq!((count(&dom, "<circle class=\"alert\""), count(&dom, "<text class=\"alert\"")), (1, 1), "{dom}");
    assert_eq!(count(&dom, "<svg "), 3, "{dom}");
    for line in ["line plan", "line greedy", "line bound"] {
        assert!(dom.contains(&format!("<path class=\"{line}\" d=\"M")), "{line}:\n{dom}");
    }
    let dots = count(&dom, "<circle class=\"bound\"");
    assert_eq!(dots, 12, "a bound at twelve moments");
}
