//! A plan or a simulation as one page for a browser: bars that pods fill, and lines over time. It needs nothing but itself: no
//! network, no files beside it, and no script to be read (a script adds what a pointer shows).
//!
//! | file | what |
//! |---|---|
//! | `plan` | what a plan shows: nodes, costs, what stays without a node |
//! | `workloads` | whose pods fill the bars, and in which colour |
//! | `nodes` | nodes of a Snapshot as bars, equal ones joined |
//! | `moves` | before and after, and the commands between them |
//! | `why` | why a node is of its type |
//! | `simulation`, `chart` | what a simulation shows |
//! | `numbers` | amounts and money as people read them |
//! | `*.html`, `style.css`, `script.js` | how it looks |

mod chart;
mod ladder;
mod moves;
mod nodes;
mod numbers;
mod plan;
mod simulation;
mod why;
mod workloads;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, Error, UndefinedBehavior};
use serde::Serialize;

pub use plan::{Consolidated, Launched, Planned, of_plan};
pub use simulation::of_simulation;

/// The templates; those whose name ends with `.html` escape every text.
const TEMPLATES: [(&str, &str); 4] = [
    ("base.html", include_str!("page/base.html")),
    ("plan.html", include_str!("page/plan.html")),
    ("simulation.html", include_str!("page/simulation.html")),
    ("ladder.html", include_str!("page/ladder.html")),
];

/// What every page has.
#[derive(Serialize)]
struct Whole<'v, View> {
    title: &'v str,
    version: &'static str,
    style: &'static str,
    script: &'static str,
    #[serde(flatten)]
    view: &'v View,
}

fn render<View: Serialize>(template: &str, title: &str, view: &View) -> Result<String, Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    for (name, source) in TEMPLATES {
        environment.add_template(name, source)?;
    }
    let (style, script) = (include_str!("page/style.css"), include_str!("page/script.js"));
    let whole = Whole { title, version: env!("CARGO_PKG_VERSION"), style, script, view };
    environment.get_template(template)?.render(Serde(whole))
}
