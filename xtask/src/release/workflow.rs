//! Whether the workflow of a release pushes the images that its programs ask for.

pub(super) const PATH: &str = ".github/workflows/release.yml";

/// The program, and the argument that names the registry: both the same one, under the release's version. Images are pushed by
/// the program that another job has built, since the job that may publish compiles nothing.
const COMMANDS: [(&str, &str); 2] = [
    ("cargo xtask dist ", " --image-registry \"$REGISTRY\""),
    ("publisher/sono-publish push ", " --to \"$REGISTRY\""),
];

/// In words what is the case; an error is what is missing.
pub(super) fn images(workflow: &str) -> Result<String, String> {
    for (task, argument) in COMMANDS {
        let mut lines = workflow.lines();
        if !lines.any(|line| line.contains(task) && line.contains(argument)) {
            return Err(format!(
                "{PATH} does not run `{task}…{argument}`: the program would ask for images that nobody pushed"
            ));
        }
    }
    Ok("the program asks for those that the release's workflow pushes".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workflow_pushes_what_the_program_asks_for() {
        let path = crate::repository::root().join(PATH);
        let workflow = fs_err::read_to_string(path).unwrap();
        assert!(images(&workflow).is_ok(), "{:?}", images(&workflow));
        for (_, argument) in COMMANDS {
            assert!(images(&workflow.replace(argument, "")).is_err(), "{argument}");
        }
    }
}
