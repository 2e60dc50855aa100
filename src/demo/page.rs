//! The page: one file that holds its pictures.

use std::path::Path;

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment};
use serde::Serialize;

use super::NEXT;
use super::pictures::Sheet;
use crate::Result;
use crate::train::report::{self, Chart, Pictures};

/// Sample sheets of the training that are shown.
const SAMPLES: usize = 5;

#[derive(Serialize)]
struct Page {
    /// Figures by what they are of.
    facts: Vec<(&'static str, String)>,
    sections: Vec<Section>,
    /// None where it was interrupted before.
    training: Option<Training>,
    next: &'static str,
}

#[derive(Serialize)]
struct Section {
    title: &'static str,
    text: &'static str,
    source: String,
}

#[derive(Serialize)]
struct Training {
    text: &'static str,
    sheets: Vec<report::Sheet>,
    charts: Vec<Chart>,
}

/// The page of a folder of sheets and the run beside them.
pub(super) fn page(
    root: &Path,
    run: &Path,
    sheets: &[Sheet],
    facts: impl Into<Vec<(&'static str, String)>>,
) -> Result<String> {
    let section = |sheet: &Sheet| {
        Ok(Section {
            title: sheet.title,
            text: sheet.text,
            source: report::embedded(&root.join(sheet.file))?,
        })
    };
    let page = Page {
        facts: facts.into(),
        sections: sheets.iter().map(section).collect::<Result<_>>()?,
        training: run.exists().then(|| training(run)).transpose()?,
        next: NEXT,
    };
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    let text = environment.render_str(include_str!("../../assets/demo.html"), Serde(&page));
    Ok(text.expect("the template fits the page"))
}

fn training(run: &Path) -> Result<Training> {
    // The newest comes first there, and time goes from left to right here.
    let mut sheets = report::sheets(run, Pictures::Embedded(SAMPLES))?;
    sheets.reverse();
    Ok(Training {
        text: "A small network of random weights learns what belongs where: three held-out layouts, what it makes of them \
               as it goes on, and the truth. It has no styles, so its light is the mean of all. Longer training and a \
               larger network make the pictures above.",
        sheets,
        charts: report::curves(run)?,
    })
}
