//! Checks that the release's workflow pushes the images that its programs use.

pub(super) const PATH: &str = ".github/workflows/release.yml";

/// The commands and their arguments for the registry, which must be the same. Another job builds the program that pushes images,
/// since the job with publishing permissions must not compile.
const COMMANDS: [(&str, &str); 2] = [
    ("cargo xtask dist ", " --image-registry \"$REGISTRY\""),
    ("publisher/sono-publish push ", " --to \"$REGISTRY\""),
];

/// Describes the state; the error names the missing command.
pub(super) fn images(workflow: &str) -> Result<String, String> {
    for (task, argument) in COMMANDS {
        let mut lines = workflow.lines();
        if !lines.any(|line| line.contains(task) && line.contains(argument)) {
            return Err(format!(
                "{PATH} does not run `{task}…{argument}`: the program would use images that are not pushed"
            ));
        }
    }
    Ok("the program uses the images that the release's workflow pushes".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workflow_pushes_images_of_program() {
        let path = sono_testbed::repository::root().join(PATH);
        let workflow = fs_err::read_to_string(path).unwrap();
        assert!(images(&workflow).is_ok(), "{:?}", images(&workflow));
        for (_, argument) in COMMANDS {
            assert!(images(&workflow.replace(argument, "")).is_err(), "{argument}");
        }
    }
}
