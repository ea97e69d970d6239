//! `sono plugin`: installed plugins, and checks of plugin definitions (cli §17.1).

mod contract;
mod evidence;
mod install;
mod lint;
mod list;
mod name;
mod test;

use crate::{
    args::{self, GivenFlags, PluginAction},
    error::CliError,
    output::Printer,
    plugins::directory::Directory,
};

pub(super) async fn plugin(arguments: args::Plugin, given: &GivenFlags, printer: &Printer) -> Result<u8, CliError> {
    let args::Plugin { action } = arguments;
    let as_sonobuoy = given.as_sonobuoy();
    match action {
        PluginAction::List(arguments) => list::list(&arguments, printer),
        PluginAction::Show(arguments) => list::show(&arguments, printer),
        PluginAction::Install(arguments) => install::install(arguments, as_sonobuoy, printer).await,
        PluginAction::Uninstall(arguments) => install::uninstall(&arguments, printer),
        PluginAction::Lint(arguments) => lint::lint(arguments, as_sonobuoy, printer).await,
        PluginAction::Test(arguments) => test::test(arguments, as_sonobuoy, printer).await,
    }
}

fn directory() -> Result<Directory, CliError> {
    Directory::of_user()
        .ok_or_else(|| CliError::new("no directory for plugins: HOME is not set").hint("set SONOBUOY_DIR=DIRECTORY"))
}
