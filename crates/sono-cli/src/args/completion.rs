//! `sono completion`.

use clap::{Args, ValueEnum};

/// `sono completion`
#[derive(Debug, Args)]
#[command(after_help = "\
bash:        source <(sono completion bash)                      in ~/.bashrc
zsh:         source <(sono completion zsh)                       in ~/.zshrc, after compinit
fish:        sono completion fish | source                       in ~/.config/fish/config.fish
PowerShell:  sono completion powershell | Out-String | Invoke-Expression   in $PROFILE

The script asks this program for what fits, so plugins, modes, contexts and namespaces are those of the moment. It is for the
name that it was made under (sonobuoy completion bash). For `kubectl sono`, put a link to this program named
kubectl_complete-sono into PATH.")]
pub struct Completion {
    /// For which shell
    #[arg(value_enum, ignore_case = true)]
    pub shell: Shell,
    /// Only what can be typed, without what it means
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
    /// As clap's completion calls it.
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
