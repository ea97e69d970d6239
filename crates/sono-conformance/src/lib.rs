//! Conformance of Kubernetes products: the required tests of each version, and the judge of submissions to CNCF.
//!
//! The judge has two modes. `bot` equals CNCF's bot, which accepts some bad submissions and rejects some good ones; `strict`
//! requires what a careful reviewer requires. This crate takes the bytes of files: it does not know where they come from, and it
//! requests no URL.
#![warn(missing_docs)]

mod bot;
mod go_mail;
mod go_url;
mod go_xml;
mod judgement;
mod junit;
mod log;
mod minor;
mod product;
mod required;
pub mod rules;
mod run;
mod strict;
mod submission;

pub use go_mail::{MailError, check as check_mail};
pub use go_url::{UrlError, check as check_url};
pub use go_xml::XmlError;
pub use judgement::{Finding, Judgement, Mode, State, Verdict};
pub use junit::{Junit, JunitError, TestCase, compared_name};
pub use log::{LogFacts, Summary};
pub use minor::{InvalidMinor, Minor};
pub use product::{EMAIL_FIELD, Field, OPTIONAL_FIELDS, Product, ProductError, REQUIRED_FIELDS, TYPES, URL_FIELDS};
pub use required::{RequiredError, RequiredTests};
pub use run::{MAX_AGE_DAYS, Node, Refusal, Run, description_files, namespace, render_readme, result_file};
pub use strict::{DRAFT, check_product, is_product_name};
pub use submission::{FILES, JUNIT, LOG, PRODUCT, README, Submission, SubmittedFile, title};

/// Judges a submission. `latest` is the newest released version of Kubernetes.
pub fn judge(submission: &Submission, required: &RequiredTests, latest: Minor, mode: Mode) -> Judgement {
    match mode {
        Mode::Bot => bot::judge(submission, required, latest),
        Mode::Strict => strict::judge(submission, required, latest),
    }
}
