//! Names of rules. The first fifteen are the bot's scenarios, in its order.

/// The title is not empty.
pub const TITLE: &str = "title";
/// The four files exist and are not empty.
pub const FILES_PRESENT: &str = "files-present";
/// No other file exists.
pub const FILES_ONLY: &str = "files-only";
/// The folder is `VERSION/PRODUCT`.
pub const FOLDER: &str = "folder";
/// All files are in one folder.
pub const ONE_PRODUCT: &str = "one-product";
/// The title has the version of the folder.
pub const TITLE_VERSION: &str = "title-version";
/// PRODUCT.yaml has the required fields.
pub const PRODUCT_FIELDS: &str = "product-fields";
/// URLs and the e-mail address are valid.
pub const PRODUCT_FORMAT: &str = "product-format";
/// URLs are web pages.
pub const PRODUCT_URLS: &str = "product-urls";
/// The type is one of three.
pub const PRODUCT_TYPE: &str = "product-type";
/// The title has a version and a product.
pub const TITLE_FORMAT: &str = "title-format";
/// The version is supported.
pub const RELEASE: &str = "release";
/// All required tests passed.
pub const REQUIRED_TESTS: &str = "required-tests";
/// No test failed.
pub const TESTS_PASSED: &str = "tests-passed";
/// The pull request has one commit.
pub const ONE_COMMIT: &str = "one-commit";

/// The results are one complete file of the suite. Strict mode only, as are the rules below.
pub const JUNIT: &str = "junit";
/// The log ends with the summary of a successful run.
pub const LOG_SUMMARY: &str = "log-summary";
/// The log names the version of the API server.
pub const LOG_VERSION: &str = "log-version";
/// The README has the steps that reproduce the run.
pub const README: &str = "readme";
/// The logo has a vector format.
pub const LOGO: &str = "logo";
