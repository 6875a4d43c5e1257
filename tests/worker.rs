//! Solver processes that crash, hang, lie or starve: one solve is lost, the certificate says so, and the best answer that was
//! checked before stands.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufReader, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use packwright::bench::{churn, instances};
use packwright::consolidation::apart::consolidate_apart;
use packwright::consolidation::{Found, Policy, consolidate_now};
use packwright::host::recorded;
use packwright::host::worker::message::{self, Hello, MOST_BYTES, Question, Told};
use packwright::host::worker::{Progress, Worker, decide_apart, decide_apart_from};
use packwright::host::{self, Decision, Limits, Search, decide_from};
use packwright::observe::Snapshot;
use packwright::plan::failure::{Cause, Failure};
use packwright::plan::{Stage, Stop, Target};
use packwright::solve::Work;
use packwright::solve::bound::{LeftProof, PodWorth, Proof};
use packwright::solve::carried::Carried;
use packwright::units::MicroUsd;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;

use crate::cli::packwright;
use crate::solver::{IN_TIME, decide, deployment, load, pool};

/// Long enough for Karpenter's packing on a busy machine.
const SHORT: Duration = Duration::from_secs(3);

/// Pods that cost less than the greedy's packing of them.
fn question(test: &str) -> Arc<Snapshot> {
    let types = "c5.xlarge, m5.xlarge, r5.xlarge, c5.24xlarge, r5.24xlarge";
    load(
        &format!("worker-{test}"),
        &[
            pool("default", types, "weight: 1", ""),
            deployment("a", 40, "900m", "1Gi", ""),
            deployment("b", 40, "700m", "5Gi", ""),
        ],
    )
}

fn limits(time: Duration) -> Limits {
    Limits { time, ..Limits::of_work(Work::LIMITED, Search::Integer) }
}

/// A program that says `says` and then does `then`.
fn played(test: &str, says: &[u8], then: &str) -> Worker {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("worker-{test}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("says"), says).unwrap();
    fs::write(folder.join("then"), then).unwrap();
    let program = folder.join("program");
    symlink(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/worker/play.sh"), &program).unwrap();
    Worker { program, memory_limit: None }
}

fn real(memory_limit: Option<u64>) -> Worker {
    Worker { program: env!("CARGO_BIN_EXE_packwright").into(), memory_limit }
}

/// What a solver process says that gives these answers.
fn said(answers: &[Told]) -> Vec<u8> {
    let mut text = Vec::new();
    message::write(&mut text, &Hello::own()).unwrap();
    for told in answers {
        message::write(&mut text, told).unwrap();
    }
    text
}

/// The best answer, and what a solver process says that is not done yet.
fn better(snapshot: &Arc<Snapshot>) -> (Decision, Told) {
    let decision = decide(snapshot, Search::Integer);
    assert!(decision.plan.cost() < decision.greedy.as_ref().unwrap().cost);
    let told = Told { stop: Stop::Unfinished, ..Told::of(&decision, None) };
    (decision, told)
}

/// Decides apart; no process is left of it.
fn apart(snapshot: &Arc<Snapshot>, time: Duration, worker: &Worker) -> Decision {
    let mut pid = None;
    let decision = decide_apart(snapshot, limits(time), worker, &mut |progress| {
        if let Progress::Started(id) = progress {
            pid = Some(id);
        }
    });
    if let Some(pid) = pid {
        assert_gone(pid);
    }
    assert!(host::accepts(snapshot, &decision.plan).is_ok());
    decision
}

/// A process that was killed is reaped, here or by whoever inherits it.
fn assert_gone(pid: u32) {
    let (pid, started) = (Pid::from_raw(pid.try_into().unwrap()).unwrap(), Instant::now());
    while test_kill_process(pid) != Err(Errno::SRCH) {
        assert!(started.elapsed() < IN_TIME, "process {pid:?} is left");
        std::thread::yield_now();
    }
}

fn failure(decision: &Decision) -> (Stop, &Cause, usize) {
    let Failure { cause, answers } = decision.certificate.failure.as_ref().expect("it failed");
    (decision.certificate.stop, cause, *answers)
}

fn assert_greedy_stands(decision: &Decision) {
    assert_eq!(decision.certificate.stage, Stage::Greedy);
    assert_eq!(Some(decision.plan.cost()), decision.greedy.as_ref().map(|greedy| greedy.cost));
    assert!(decision.plan.unplaced.is_empty());
}

#[test]
fn the_answer_is_the_one_of_this_process() {
    for name in ["inflate", "own"] {
        let own = || question("same");
        let instance = instances::all().into_iter().find(|instance| instance.name == name);
        let snapshot = instance.map_or_else(own, |instance| instance.snapshot(0).unwrap());
        let (here, there) = (decide(&snapshot, Search::Integer), apart(&snapshot, IN_TIME, &real(None)));
        let said = |decision: &Decision| serde_json::to_value((&decision.plan, &decision.certificate)).unwrap();
        assert_eq!(said(&there), said(&here), "{name}");
        assert_eq!((there.proof, there.greedy), (here.proof, here.greedy), "{name}");
    }
}

#[test]
fn karpenters_packing_alone_starts_no_process() {
    let snapshot = question("greedy");
    let limits = Limits { search: Search::Greedy, ..limits(IN_TIME) };
    let nowhere = Worker { program: "/does/not/exist".into(), memory_limit: None };
    let decision = decide_apart(&snapshot, limits, &nowhere, &mut |progress| {
        assert!(matches!(progress, Progress::Answered(_)));
    });
    assert_eq!((decision.certificate.stop, &decision.certificate.failure), (Stop::Complete, &None));
}

#[test]
fn a_process_that_fails_before_its_first_answer_leaves_the_greedys() {
    let snapshot = question("early");
    for (test, says, then, expected) in [
        ("killed-early", said(&[]), "kill -9 $$", Cause::Killed { signal: 9 }),
        ("segfault", said(&[]), "kill -SEGV $$", Cause::Killed { signal: 11 }),
        (
            "code",
            said(&[]),
            "echo 'cannot go on' >&2; exit 3",
            Cause::Ended { code: 3, said: "cannot go on".to_owned() },
        ),
        ("quiet", said(&[]), "exit 0", Cause::Ended { code: 0, said: String::new() }),
        ("mute", Vec::new(), "exit 0", Cause::Ended { code: 0, said: String::new() }),
        ("half", br#"{"vers"#.to_vec(), "kill -9 $$", Cause::Killed { signal: 9 }),
        ("memory", said(&[]), "echo 'memory allocation of 8 bytes failed' >&2; kill -ABRT $$", Cause::OutOfMemory),
        (
            "version",
            br#"{"version":"0.0.1"}"#.iter().chain(b"\n").copied().collect(),
            "exec sleep 1000",
            Cause::OtherVersion { version: "0.0.1".to_owned() },
        ),
    ] {
        let decision = apart(&snapshot, IN_TIME, &played(test, &says, then));
        assert_eq!(failure(&decision), (Stop::Failed, &expected, 0), "{test}");
        assert_greedy_stands(&decision);
    }
}

#[test]
fn a_program_that_is_not_there_leaves_the_greedys() {
    let decision =
        apart(&question("nowhere"), IN_TIME, &Worker { program: "/does/not/exist".into(), memory_limit: None });
    let (stop, cause, answers) = failure(&decision);
    assert_eq!((stop, answers), (Stop::Failed, 0));
    assert!(matches!(cause, Cause::NotStarted { error } if error.starts_with("/does/not/exist: ")), "{cause}");
    assert_greedy_stands(&decision);
}

#[test]
fn a_process_that_hangs_costs_no_more_than_the_time_limit() {
    let snapshot = question("hangs");
    let (best, told) = better(&snapshot);
    for (test, then) in [("sleeps", "exec sleep 1000"), ("stops", "kill -STOP $$"), ("spins", "while :; do :; done")] {
        let started = Instant::now();
        let decision = apart(&snapshot, SHORT, &played(test, &said(&[]), then));
        assert!(started.elapsed() < IN_TIME, "{test}");
        assert_eq!(failure(&decision), (Stop::Failed, &Cause::Silent, 0), "{test}");
        assert_greedy_stands(&decision);
        let after_one = apart(&snapshot, SHORT, &played(test, &said(std::slice::from_ref(&told)), then));
        assert_eq!((after_one.certificate.stop, &after_one.certificate.failure), (Stop::Deadline, &None), "{test}");
        assert_eq!(after_one.plan.cost(), best.plan.cost(), "{test}");
    }
}

#[test]
fn what_came_before_a_crash_stands() {
    let snapshot = question("after-one");
    let (best, told) = better(&snapshot);
    let decision = apart(&snapshot, IN_TIME, &played("after-one", &said(&[told]), "kill -9 $$"));
    assert_eq!(failure(&decision), (Stop::Failed, &Cause::Killed { signal: 9 }, 1));
    assert_eq!((decision.plan.cost(), decision.certificate.stage), (best.plan.cost(), Stage::Columns));
    assert_eq!(decision.certificate.bound, best.certificate.bound, "it is proven here");
}

#[test]
fn what_is_no_answer_is_not_read_on() {
    let snapshot = question("malformed");
    for (test, then) in [
        ("garbage", "echo garbage; exec sleep 1000"),
        ("floods", "exec yes"),
        ("another", r#"echo '{"version":"again"}'; exec sleep 1000"#),
        ("endless", "exec cat /dev/zero"),
    ] {
        let decision = apart(&snapshot, IN_TIME, &played(test, &said(&[]), then));
        let (stop, cause, answers) = failure(&decision);
        assert_eq!((stop, answers), (Stop::Failed, 0), "{test}");
        let is_endless =
            |error: &str| error == format!("a message of more than {} bytes", message::most_bytes(&snapshot));
        assert!(
            matches!(cause, Cause::Malformed { error } if is_endless(error) == (test == "endless")),
            "{test}: {cause}"
        );
        assert_greedy_stands(&decision);
    }
}

#[test]
fn a_plan_that_breaks_a_rule_is_not_believed() {
    let snapshot = question("lies");
    let (_, told) = better(&snapshot);
    let mut all_on_one = told;
    let plan = all_on_one.plan.as_mut().unwrap();
    plan.launches.truncate(1);
    plan.assignments.iter_mut().for_each(|assignment| assignment.target = Target::Launch(0));
    let decision = apart(&snapshot, IN_TIME, &played("lies", &said(&[all_on_one]), "exec sleep 1000"));
    assert!(matches!(failure(&decision), (Stop::Failed, Cause::Refused { .. }, 1)), "{:?}", decision.certificate);
    assert_greedy_stands(&decision);
}

#[test]
fn a_bound_is_what_its_values_prove_here() {
    let snapshot = question("bounds");
    let (best, told) = better(&snapshot);
    let proof = told.proof.clone().unwrap();
    let dear = proof.values.iter().map(|of| PodWorth { value: i64::MAX, ..of.clone() }).collect();
    let unreal = proof.values.iter().map(|of| PodWorth { pod: usize::MAX - of.pod, ..of.clone() }).collect();
    for (test, values, prices) in [
        ("raised", proof.values.clone(), proof.prices.clone()),
        ("dear", dear, proof.prices.clone()),
        ("unreal", unreal, proof.prices.clone()),
        ("overflowing", proof.values.clone(), vec![vec![i128::MAX; proof.resources.len()]]),
    ] {
        let stated = Proof { bound: MicroUsd(i64::MAX), values, prices, ..proof.clone() };
        let lie = Told { proof: Some(stated), stop: Stop::Optimal, ..told.clone() };
        let decision = apart(&snapshot, IN_TIME, &played(test, &said(&[lie]), "exit 0"));
        assert!(decision.certificate.bound <= best.plan.cost(), "{test}");
        assert_eq!(
            decision.certificate.stop == Stop::Optimal,
            decision.certificate.bound == best.plan.cost(),
            "{test}"
        );
        assert_eq!(decision.plan.cost(), best.plan.cost(), "{test}");
    }
}

#[test]
fn how_few_pods_can_be_left_is_what_its_values_prove_here() {
    let types = "c5.xlarge, m5.xlarge, r5.xlarge, c5.24xlarge, r5.24xlarge";
    let objects = [
        pool("default", types, "limits: {cpu: \"32\"}", ""),
        deployment("a", 40, "900m", "1Gi", ""),
        deployment("b", 40, "700m", "5Gi", ""),
    ];
    let snapshot = load("worker-left", &objects);
    let best = decide(&snapshot, Search::Integer);
    let told = Told { stop: Stop::Unfinished, ..Told::of(&best, None) };
    let [proof] = told.left_proofs.as_slice() else { panic!("one priority: {:?}", told.left_proofs) };
    let [known] = best.certificate.left.as_slice() else { panic!("one priority: {:?}", best.certificate.left) };
    assert!(0 < known.at_least && known.at_least <= best.plan.unplaced.len(), "{known:?}");
    let dear = proof.proof.values.iter().map(|of| PodWorth { value: i64::MAX, ..of.clone() }).collect();
    let unreal = proof.proof.values.iter().map(|of| PodWorth { pod: usize::MAX - of.pod, ..of.clone() }).collect();
    for (test, values) in [("left-raised", proof.proof.values.clone()), ("left-dear", dear), ("left-unreal", unreal)] {
        let lie = LeftProof { at_least: 1_000, proof: Proof { values, ..proof.proof.clone() }, ..proof.clone() };
        let strange = LeftProof { priority: 7, ..proof.clone() };
        let lies = Told { left_proofs: vec![lie, strange], stop: Stop::Deadline, ..told.clone() };
        let decision = apart(&snapshot, IN_TIME, &played(test, &said(&[lies]), "exit 0"));
        let [stated] = decision.certificate.left.as_slice() else { panic!("{test}: {:?}", decision.certificate.left) };
        assert!(stated.at_least <= known.at_least, "{test}: {stated:?}");
        assert_eq!(stated.at_least == known.at_least, test == "left-raised", "{test}: {stated:?}");
    }
}

/// Hundreds of different pods: many seconds of search.
fn long_question() -> Arc<Snapshot> {
    let instance = instances::all().into_iter().find(|instance| instance.name == "bimodal-1000-100-spot");
    instance.expect("it is one of the instances").snapshot(0).unwrap()
}

#[test]
fn a_solver_that_is_killed_at_work_costs_one_solve() {
    let snapshot = long_question();
    let mut pid = None;
    let decision = decide_apart(&snapshot, limits(IN_TIME), &real(None), &mut |progress| match progress {
        Progress::Started(id) => pid = Pid::from_raw(id.try_into().unwrap()),
        // what is proven comes from the process
        Progress::Answered(answer) if answer.bound > MicroUsd::ZERO => {
            // it is killed once; its id is its own until the decision is made
            let _ = kill_process(pid.unwrap(), Signal::KILL);
        }
        Progress::Answered(_) => {}
    });
    let (stop, cause, answers) = failure(&decision);
    assert_eq!((stop, cause), (Stop::Failed, &Cause::Killed { signal: 9 }));
    assert!(answers > 0);
    assert!(decision.plan.unplaced.is_empty());
    assert!(decision.plan.cost() <= decision.greedy.as_ref().unwrap().cost);
    assert!(decision.certificate.bound > MicroUsd::ZERO);
    assert!(host::accepts(&snapshot, &decision.plan).is_ok());
    assert_gone(pid.unwrap().as_raw_nonzero().get().try_into().unwrap());
}

/// `packwright plan`, with so much memory for the solver.
fn starved(path: &str, memory: &str, output: &str) -> String {
    let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    let args = ["plan", "-f", &path, "--work-limits", "usual", "--memory-limit", memory, "-o", output];
    let output = packwright(&args).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "that of the plan: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_solver_that_is_starved_costs_one_solve() {
    let lost = "failed: the solver process ran out of memory (before it gave an answer); the best answer that was checked \
                before stands\n";
    let table = starved("examples/getting-started", "64Mi", "table");
    assert!(table.contains("1 node for 5 pods, 0 not placed: $0.1853/h") && table.ends_with(lost), "{table}");
    // here it can start, and has a search of minutes before it
    let report = starved("benchmarks/instances/karpenter-wide", "71Mi", "json");
    let summary = serde_json::from_str::<Value>(&report).unwrap()["summary"].take();
    assert_eq!((&summary["stop"], &summary["failure"]["cause"]), (&"failed".into(), &"out-of-memory".into()));
    let sentence = summary["failure"]["sentence"].as_str().unwrap();
    assert!(sentence.starts_with("the solver process ran out of memory ("), "{sentence}");
    assert_eq!(summary["pods_unplaced"], 0);
    assert!(summary["cost_usd_hour"].as_f64() <= summary["greedy_usd_hour"].as_f64());
}

#[test]
fn enough_memory_is_enough() {
    let exercise = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/getting-started");
    let args = ["plan", "-f", exercise, "--work-limits", "usual", "--memory-limit", "1Gi", "-o", "json"];
    let output = packwright(&args).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["summary"]["stop"], &report["summary"]["failure"]), (&"optimal".into(), &Value::Null));
}

#[test]
fn a_solver_ends_when_nobody_waits_for_its_answer() {
    let mut solver = Command::new(env!("CARGO_BIN_EXE_packwright"))
        .arg("worker")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdin, stdout) = (solver.stdin.take().unwrap(), solver.stdout.take().unwrap());
    let question = Question::new(limits(IN_TIME), &long_question(), &Carried::default());
    message::write(&mut stdin, &question).unwrap();
    stdin.flush().unwrap();
    let mut from = BufReader::new(stdout);
    message::read::<Hello>(&mut from, MOST_BYTES).unwrap().expect("it says hello");
    let first = message::read::<Told>(&mut from, MOST_BYTES).unwrap().expect("it answers");
    assert_eq!(first.stop, Stop::Unfinished);
    // who asked is gone; the pipe for the answers is not
    drop(stdin);
    assert_eq!(solver.wait().unwrap().code(), Some(0));
}

#[test]
fn memory_limits_that_are_none_are_refused() {
    for limit in ["0", "-1Gi", "much"] {
        let output = packwright(&["plan", "-f", "-", &format!("--memory-limit={limit}")]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{limit}");
    }
}

#[test]
fn what_a_solver_process_learned_comes_back_and_its_search_is_repeated() {
    let (snapshot, limits) = (question("learned"), limits(IN_TIME));
    let decided = decide_apart(&snapshot, limits, &real(None), &mut |_| {});
    assert_eq!(decided.certificate.failure, None);
    let learned = decided.carried(&snapshot);
    assert!(!learned.patterns.is_empty() && learned.ratio > 0.0, "{learned:?}");
    // the next one starts from there
    let carried = Arc::new(learned);
    let next = decide_apart_from(&snapshot, carried.clone(), limits, &real(None), &mut |_| {});
    assert!(next.plan.cost() <= decided.plan.cost());
    let here = decide_from(&snapshot, carried.clone(), limits);
    assert_eq!(next.certificate.stop, here.certificate.stop, "as in one process");
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("worker-recorded");
    for (started, decided) in [(Arc::default(), &decided), (carried, &next)] {
        let _ = fs::remove_dir_all(&folder);
        let question = recorded::Question { snapshot: snapshot.clone(), carried: started, limits };
        recorded::write(&folder, &question, decided, BTreeMap::new()).unwrap();
        let output = packwright(&["replay", folder.to_str().unwrap()]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && said.starts_with("the same plan"), "{said}{output:?}");
    }
    // where it was killed nobody knows how far it was
    let killed = decide_apart(&snapshot, limits, &played("killed-early", &[], "kill -9 $$"), &mut |_| {});
    let question = recorded::Question { snapshot: snapshot.clone(), carried: Arc::default(), limits };
    let _ = fs::remove_dir_all(&folder);
    recorded::write(&folder, &question, &killed, BTreeMap::new()).unwrap();
    let replayed = |changed: &str| {
        let output = packwright(&["replay", folder.to_str().unwrap()]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("its plan was re-checked instead"), "{changed}: {said}");
        output.status.code()
    };
    assert_eq!(replayed("as it was"), Some(0));
    // and a plan that does not hold is said to
    let path = folder.join("decision.json");
    let mut decision: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    decision["plan"]["assignments"].as_array_mut().unwrap().pop().unwrap();
    fs::write(&path, decision.to_string()).unwrap();
    assert_eq!(replayed("without a pod"), Some(5));
}

/// Nodes that have lost four of ten of their pods.
fn half_empty(test: &str) -> Arc<Snapshot> {
    Arc::new(churn::cluster(&question(test), 40, 1))
}

#[test]
fn nodes_that_may_go_are_found_in_another_process_as_in_this_one() {
    let snapshot = half_empty("consolidate");
    let limits = Limits { time: IN_TIME, ..Limits::of_work(Work::LIMITED, Search::Integer) };
    let policy = Policy::default();
    let here = Found::of(consolidate_now(&snapshot, &policy, limits, 7));
    assert!(!here.commands.is_empty());
    let apart = consolidate_apart(&snapshot, &policy, limits, 7, &real(None)).unwrap();
    let outlook = apart.outlook.expect("a controller is told");
    assert!(outlook.least.as_usd() > 0.0 && outlook.least <= outlook.cost, "{outlook:?}");
    assert_eq!(Found { outlook: None, ..apart }, here);
}

#[test]
fn a_search_whose_process_fails_has_found_nothing() {
    let snapshot = half_empty("consolidate-failing");
    let failure = |worker: &Worker| {
        let limits = limits(Duration::from_millis(10));
        consolidate_apart(&snapshot, &Policy::default(), limits, 0, worker).expect_err("it fails")
    };
    let failures = [
        failure(&Worker { program: "/nowhere".into(), memory_limit: None }),
        failure(&played("consolidate-ends", &said(&[]), "exit 3")),
        failure(&played("consolidate-lies", b"{}\n", "exit 0")),
        failure(&played("consolidate-hangs", &said(&[]), "exec sleep 1000")),
        failure(&real(Some(1 << 20))),
    ];
    let words = ["No such file", "code: 3", "missing field `version`", "nothing in time", "has ended"];
    for (failure, words) in failures.iter().zip(words) {
        assert!(failure.contains(words), "{failure}");
    }
}
