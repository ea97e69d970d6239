//! `sono conformance`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// `sono conformance`
#[derive(Debug, Args)]
pub struct Conformance {
    /// Action.
    #[command(subcommand)]
    pub action: ConformanceAction,
}

/// Action on conformance submissions.
#[derive(Debug, Subcommand)]
pub enum ConformanceAction {
    /// List the tests that a version of Kubernetes requires
    List(ConformanceList),
    /// Judge a submission folder, or the results in an archive
    Check(ConformanceCheck),
    /// Write a submission folder from an archive; sends nothing
    Submit(Box<ConformanceSubmit>),
    /// Describe the product
    Product(ConformanceProduct),
}

/// Source of the required tests.
#[derive(Debug, Args)]
pub struct ConformanceVersion {
    /// Version of Kubernetes [default: that of the folder or archive, else the newest one that sono knows]
    #[arg(long, value_name = "VERSION")]
    pub kubernetes_version: Option<String>,
    /// List of required tests for that version, instead of sono's own: the suite's conformance.yaml
    ///
    /// The image of the suite prints it: e2e.test --list-conformance-tests
    #[arg(long, value_name = "FILE")]
    pub required: Option<PathBuf>,
}

/// `sono conformance list`
#[derive(Debug, Args)]
pub struct ConformanceList {
    #[command(flatten)]
    pub version: ConformanceVersion,
    /// List only tests that did not pass in an archive
    #[arg(long, value_name = "ARCHIVE")]
    pub missing_from: Option<PathBuf>,
    /// Plugin in the archive that ran the tests
    #[arg(short, long, value_name = "NAME", default_value = "e2e")]
    pub plugin: String,
}

/// Judge whose rules apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ConformanceMode {
    /// CNCF's bot, with its oddities.
    Bot,
    /// A careful reviewer.
    Strict,
}

/// Output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ConformanceOutput {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// For pull requests.
    Markdown,
}

/// `sono conformance check`
#[derive(Debug, Args)]
pub struct ConformanceCheck {
    /// Folder VERSION/PRODUCT, a folder that contains it, or an archive
    #[arg(value_name = "FOLDER|ARCHIVE")]
    pub path: PathBuf,
    /// Judge: the bot of CNCF, or a careful reviewer
    #[arg(short, long, value_enum, default_value_t = ConformanceMode::Bot)]
    pub mode: ConformanceMode,
    /// Title of the pull request [default: the title that `submit` prints]
    #[arg(long, value_name = "TITLE")]
    pub title: Option<String>,
    /// Newest released version of Kubernetes [default: the newest one that sono knows]
    #[arg(long, value_name = "VERSION")]
    pub latest: Option<String>,
    #[command(flatten)]
    pub version: ConformanceVersion,
    /// Plugin in the archive that ran the tests
    #[arg(short, long, value_name = "NAME", default_value = "e2e")]
    pub plugin: String,
    /// Output format
    #[arg(short, long, value_enum, default_value_t = ConformanceOutput::Table)]
    pub output: ConformanceOutput,
}

/// `sono conformance submit`
#[derive(Debug, Args)]
pub struct ConformanceSubmit {
    /// Archive of a run with --mode certified-conformance
    #[arg(value_name = "ARCHIVE")]
    pub archive: PathBuf,
    /// Description of the product, as `product init` writes it
    #[arg(long, value_name = "FILE", default_value = "PRODUCT.yaml")]
    pub product: PathBuf,
    /// Text about the installation of the product, for the README
    #[arg(long, value_name = "FILE")]
    pub readme: Option<PathBuf>,
    /// Directory for the folder VERSION/PRODUCT, such as a clone of cncf/k8s-conformance
    #[arg(short = 'C', long, value_name = "DIRECTORY", default_value = ".")]
    pub directory: PathBuf,
    /// Name of the product's folder [default: from the product's name]
    #[arg(long, value_name = "NAME")]
    pub folder: Option<String>,
    /// Write the folder in spite of reasons against a submission, which its README lists
    #[arg(long)]
    pub draft: bool,
    #[command(flatten)]
    pub version: ConformanceVersion,
    /// Plugin in the archive that ran the tests
    #[arg(short, long, value_name = "NAME", default_value = "e2e")]
    pub plugin: String,
}

/// `sono conformance product`
#[derive(Debug, Args)]
pub struct ConformanceProduct {
    /// Action.
    #[command(subcommand)]
    pub action: ConformanceProductAction,
}

/// Action on the description of a product.
#[derive(Debug, Subcommand)]
pub enum ConformanceProductAction {
    /// Write PRODUCT.yaml, and ask for fields without a flag
    Init(Box<ConformanceProductInit>),
}

/// `sono conformance product init`
#[derive(Debug, Args)]
pub struct ConformanceProductInit {
    /// Name of the organization
    #[arg(long, value_name = "NAME")]
    pub vendor: Option<String>,
    /// Name of the product
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Version of the product
    #[arg(long, value_name = "VERSION")]
    pub version: Option<String>,
    /// Type of the product: distribution, hosted platform, or installer
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: Option<String>,
    /// Description of the product in one sentence
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// Web page of the product
    #[arg(long, value_name = "URL")]
    pub website_url: Option<String>,
    /// Documentation of the product
    #[arg(long, value_name = "URL")]
    pub documentation_url: Option<String>,
    /// E-mail address for questions
    #[arg(long, value_name = "ADDRESS")]
    pub contact_email_address: Option<String>,
    /// Source repository; optional
    #[arg(long, value_name = "URL")]
    pub repo_url: Option<String>,
    /// Logo in SVG, AI or EPS; optional
    #[arg(long, value_name = "URL")]
    pub product_logo_url: Option<String>,
    /// File to write, or - for standard output
    #[arg(long, value_name = "FILE", default_value = "PRODUCT.yaml")]
    pub file: PathBuf,
    /// Replace an existing file
    #[arg(long)]
    pub force: bool,
}
