//! `sono completion`.

use clap::{Args, ValueEnum};

/// `sono completion`
#[derive(Debug, Args)]
#[command(after_help = "\
bash:        source <(sono completion bash)                      in ~/.bashrc
zsh:         source <(sono completion zsh)                       in ~/.zshrc, after compinit
fish:        sono completion fish | source                       in ~/.config/fish/config.fish
PowerShell:  sono completion powershell | Out-String | Invoke-Expression   in $PROFILE

The script calls this program for candidates, so it completes the current plugins, modes, contexts and namespaces.
It completes the program name that printed it (`sonobuoy completion bash` for sonobuoy). For `kubectl sono`, put a
link to this program, named kubectl_complete-sono, into a directory in PATH.")]
pub struct Completion {
    /// Shell to complete in
    #[arg(value_enum, ignore_case = true)]
    pub shell: Shell,
    /// Omit descriptions
    #[arg(long)]
    pub no_descriptions: bool,
}

/// A shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
    #[value(alias = "pwsh")]
    Powershell,
    Elvish,
}

impl Shell {
    /// Name of the shell in clap's completion.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
            Self::Powershell => "powershell",
            Self::Elvish => "elvish",
        }
    }
}
