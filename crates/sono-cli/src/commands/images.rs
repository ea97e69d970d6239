//! `sono images`: images of a run, over the registry API without a container engine (cli §15).

mod inspect;
mod platforms;
mod selection;

use std::{
    collections::BTreeSet,
    env,
    future::Future,
    path::{Path, PathBuf},
};

use futures::{StreamExt as _, stream};
use sono_images::{ImageError, Layout, Platforms, Progress, Registries, Registry, Translation};
use sono_types::{error_chain, exit, yaml};

use self::{
    inspect::inspect,
    platforms::selected_platforms,
    selection::{Images, Renaming, Target, groups, images, released, runs_suite},
};
use crate::{
    aggregator::text,
    args::{self, GivenFlags, ImagesAction},
    error::CliError,
    output::Printer,
    plugins::{self, fetch::Access},
    registries,
    settings::connect,
    text_file,
    view::words::counted,
};

/// Maximum number of concurrent transfers.
const MAX_CONCURRENT: usize = 4;

pub(super) async fn images_command(
    arguments: args::Images,
    given: &GivenFlags,
    printer: &Printer,
) -> Result<u8, CliError> {
    let args::Images {
        action,
        list,
        plugin_env,
    } = arguments;
    let as_sonobuoy = given.as_sonobuoy();
    if !plugin_env.is_empty() {
        printer.note("warning: --plugin-env has no effect on images: listing them runs no plugin");
    }
    match action.unwrap_or(ImagesAction::List(list)) {
        ImagesAction::List(args::ImagesList { selection, dry_run: _ }) => {
            for image in find(&selection, as_sonobuoy, &Renaming::None, printer)
                .await?
                .images
                .keys()
            {
                printer.line(image)?;
            }
            Ok(exit::SUCCESS)
        }
        ImagesAction::Inspect(arguments) => inspect(arguments, as_sonobuoy, printer).await,
        ImagesAction::Pull(arguments) => pull(arguments, as_sonobuoy, printer).await,
        ImagesAction::Push(arguments) => push(arguments, as_sonobuoy, printer).await,
        ImagesAction::Download(arguments) => download(arguments, as_sonobuoy, printer).await,
        ImagesAction::Delete(arguments) => delete(arguments, as_sonobuoy, printer).await,
    }
}

/// Selected images, and their Kubernetes version.
struct SelectedImages {
    images: Images,
    version: String,
}

impl SelectedImages {
    /// Names of the images in their registries, or in the private registry if set.
    fn names(&self, printer: &Printer) -> Vec<String> {
        let mut names = Vec::new();
        for (image, target) in &self.images {
            match target {
                Target::Renamed(name) => names.push(name.clone()),
                Target::Same | Target::Unknown => names.push(image.clone()),
                Target::Unavailable => {
                    printer.note(&format!("skipping {image}: the tests expect the pull to fail"));
                }
            }
        }
        names
    }
}

async fn find(
    selection: &args::ImagesSelection,
    as_sonobuoy: bool,
    renaming: &Renaming,
    printer: &Printer,
) -> Result<SelectedImages, CliError> {
    let args::ImagesSelection {
        plugins,
        kubernetes_version,
        images_file,
        addresses,
        cluster,
    } = selection;
    let definitions = plugins::load(
        plugins,
        &sono_manifest::Images::default(),
        Access::new(addresses, as_sonobuoy),
        printer,
    )
    .await?;
    let given = kubernetes_version
        .as_deref()
        .filter(|version| !["", "auto"].contains(version));
    let needs_suite = images_file.is_none() && definitions.iter().any(runs_suite);
    let marker = format!("${}", sono_types::env::SONOBUOY_K8S_VERSION);
    let names_version = |definition: &sono_manifest::Definition| definition.to_yaml().contains(&marker);
    let version = match given {
        Some(version) => version.to_owned(),
        None if needs_suite || definitions.iter().any(names_version) => released(&server_version(cluster).await?),
        // No image depends on the version.
        None => String::new(),
    };
    let listed = images_file.as_deref().map(listed).transpose()?.unwrap_or_default();
    let suite = if needs_suite {
        let suite = sono_images::suite_images(&version).ok_or_else(|| no_list(&version))?;
        if suite.version != version.trim_start_matches('v') {
            printer.note(&format!(
                "note: using the test images of {}, which has the same minor version as {version}",
                suite.version
            ));
        }
        Some(suite)
    } else {
        None
    };
    Ok(SelectedImages {
        images: images(&definitions, &version, suite.as_ref(), &listed, renaming),
        version,
    })
}

/// Reads a list of images, one per line.
fn listed(file: &Path) -> Result<Vec<String>, CliError> {
    let cannot_read = |error: &std::io::Error| {
        CliError::new(format!("cannot read the list of images `{}`", file.display())).caused_by(error)
    };
    let text = if file.as_os_str() == "-" {
        text_file::read_from(std::io::stdin(), u64::MAX)
    } else {
        text_file::read(file)
    };
    let text = text.map_err(|error| cannot_read(&error))?;
    let lines = text.lines().map(str::trim).enumerate();
    lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(number, line)| {
            if line.contains(char::is_whitespace) || line.ends_with(':') {
                return Err(
                    CliError::new(format!("{}:{}: invalid image `{line}`", file.display(), number + 1))
                        .hint("expected one name per line, as e2e.test --list-images prints them"),
                );
            }
            Ok(line.to_owned())
        })
        .collect()
}

async fn server_version(cluster: &args::Cluster) -> Result<String, CliError> {
    let queried = async {
        let version = connect(cluster).await?.server_version().await?;
        Ok::<_, CliError>(text(&version, "/gitVersion").to_owned())
    };
    queried
        .await
        .map_err(|error| error.hint("to work without a cluster, set the version: --kubernetes-version v1.37.2"))
}

fn no_list(version: &str) -> CliError {
    CliError::new(format!(
        "the images of the Kubernetes tests of {version} are unknown"
    ))
    .details([format!("known versions: {}", sono_images::suite_versions().join(", "))])
    .hint(format!(
        "run e2e.test --list-images in registry.k8s.io/conformance:{version}, and pass its output with --images-file"
    ))
}

async fn pull(arguments: args::ImagesPull, as_sonobuoy: bool, printer: &Printer) -> Result<u8, CliError> {
    let args::ImagesPull {
        selection,
        renaming,
        platforms,
        access,
        store,
        dry_run,
    } = arguments;
    let found = find(&selection, as_sonobuoy, &to_renaming(&renaming, None)?, printer).await?;
    let names = found.names(printer);
    if dry_run {
        for name in &names {
            printer.note(&format!("Pulling image: {name}"));
        }
        return Ok(exit::SUCCESS);
    }
    let layout = layout(&store)?;
    let platforms = selected_platforms(&platforms, &selection.cluster, printer).await;
    let failures = pull_all(&names, &layout, &platforms, &registry(&access, &names)?, printer).await;
    conclude(failures, names.len(), "could not be pulled")
}

async fn pull_all(
    names: &[String],
    layout: &Layout,
    platforms: &Platforms,
    registry: &Registry,
    printer: &Printer,
) -> Vec<String> {
    let reporting = &reporter(printer);
    each(names, |name| async move {
        let copied = sono_images::pull(registry, layout, name, platforms, reporting).await?;
        printer.note(&format!(
            "pulled {name} {} ({}, {} of {} blobs already existed)",
            copied.digest,
            size(copied.bytes_moved),
            copied.blobs_skipped,
            copied.blobs_skipped + copied.blobs_moved
        ));
        Ok(())
    })
    .await
}

async fn push(arguments: args::ImagesPush, as_sonobuoy: bool, printer: &Printer) -> Result<u8, CliError> {
    let args::ImagesPush {
        selection,
        renaming,
        custom_registry,
        platforms,
        access,
        store,
        dry_run,
    } = arguments;
    let renaming = to_renaming(&renaming, custom_registry)?;
    if renaming == Renaming::None {
        return Err(CliError::new("no destination for the images")
            .hint("set --custom-registry, --e2e-repo-config or --e2e-repo"));
    }
    let found = find(&selection, as_sonobuoy, &renaming, printer).await?;
    let mut moves = Vec::new();
    for (image, target) in &found.images {
        match target {
            Target::Renamed(name) => moves.push((image.clone(), name.clone())),
            Target::Same => printer.line(&format!("Skipping public image: {image}"))?,
            Target::Unknown => printer.note(&format!(
                "warning: no registry is configured for {image}; it is not pushed"
            )),
            Target::Unavailable => printer.note(&format!("skipping {image}: the tests expect the pull to fail")),
        }
    }
    if dry_run {
        for (image, name) in &moves {
            printer.note(&format!("Tagging image: {image} as {name}"));
            printer.note(&format!("Pushing image: {name}"));
        }
        return Ok(exit::SUCCESS);
    }
    let layout = &layout(&store)?;
    let stored_names: BTreeSet<String> = stored(layout)?.into_iter().collect();
    let missing: Vec<String> = moves
        .iter()
        .map(|(image, _)| image.clone())
        .filter(|image| !stored_names.contains(image))
        .collect();
    let all: Vec<String> = moves
        .iter()
        .flat_map(|(image, name)| [image.clone(), name.clone()])
        .collect();
    let registry = &registry(&access, &all)?;
    let mut failures = Vec::new();
    if !missing.is_empty() {
        let platforms = selected_platforms(&platforms, &selection.cluster, printer).await;
        failures = pull_all(&missing, layout, &platforms, registry, printer).await;
    }
    let stored_names: BTreeSet<String> = stored(layout)?.into_iter().collect();
    let number = moves.len();
    let ready: Vec<(String, String)> = moves
        .into_iter()
        .filter(|(image, _)| stored_names.contains(image))
        .collect();
    let reporting = &reporter(printer);
    let failed = each(&ready, |(image, name)| async move {
        let copied = sono_images::push(registry, layout, image, name, reporting).await?;
        printer.note(&format!(
            "pushed {name} {} ({}, {} of {} blobs already existed)",
            copied.digest,
            size(copied.bytes_moved),
            copied.blobs_skipped,
            copied.blobs_skipped + copied.blobs_moved
        ));
        Ok(())
    })
    .await;
    failures.extend(failed);
    conclude(failures, number, "could not be pushed")
}

async fn download(arguments: args::ImagesDownload, as_sonobuoy: bool, printer: &Printer) -> Result<u8, CliError> {
    let args::ImagesDownload {
        selection,
        renaming,
        platforms,
        access,
        store,
        dry_run,
    } = arguments;
    let found = find(&selection, as_sonobuoy, &to_renaming(&renaming, None)?, printer).await?;
    let names = found.names(printer);
    let file = match found.version.as_str() {
        "" => "plugin_images.tar".to_owned(),
        version => format!("kubernetes_e2e_images_{version}.tar"),
    };
    if dry_run {
        printer.note("Saving images");
        return Ok(exit::SUCCESS);
    }
    let layout = layout(&store)?;
    let stored_names = stored(&layout)?;
    let missing: Vec<String> = names
        .iter()
        .filter(|name| !stored_names.contains(name))
        .cloned()
        .collect();
    if !missing.is_empty() {
        let platforms = selected_platforms(&platforms, &selection.cluster, printer).await;
        let failures = pull_all(&missing, &layout, &platforms, &registry(&access, &names)?, printer).await;
        conclude(failures, names.len(), "could not be pulled; no file was written")?;
    }
    let failed =
        |error: &(dyn std::error::Error + 'static)| CliError::new(format!("cannot write {file}")).caused_by(error);
    // The file gets its final name only when complete.
    let unfinished = tempfile::NamedTempFile::new_in(".").map_err(|error| failed(&error))?;
    layout
        .archive(&names, std::io::BufWriter::new(unfinished.as_file()))
        .map_err(|error| failed(&error))?;
    unfinished.persist(&file).map_err(|error| failed(&error.error))?;
    printer.line(&file)?;
    Ok(exit::SUCCESS)
}

async fn delete(arguments: args::ImagesDelete, as_sonobuoy: bool, printer: &Printer) -> Result<u8, CliError> {
    let args::ImagesDelete {
        selection,
        renaming,
        store,
        dry_run,
    } = arguments;
    let found = find(&selection, as_sonobuoy, &to_renaming(&renaming, None)?, printer).await?;
    let layout = layout(&store)?;
    let stored_names = stored(&layout)?;
    let names = found.images.iter().flat_map(|(image, target)| match target {
        Target::Renamed(name) => vec![image.clone(), name.clone()],
        _ => vec![image.clone()],
    });
    let removed: Vec<String> = names.filter(|name| stored_names.contains(name)).collect();
    if dry_run {
        for name in &removed {
            printer.note(&format!("Deleting image: {name}"));
        }
        return Ok(exit::SUCCESS);
    }
    let freed = if removed.is_empty() {
        0
    } else {
        let what = format!("cannot remove images from {}", layout.directory().display());
        layout
            .remove(&removed)
            .map_err(|error| CliError::new(what).caused_by(&error))?
    };
    printer.note(&format!("removed images: {}, freed: {}", removed.len(), size(freed)));
    Ok(exit::SUCCESS)
}

/// Runs `work` for each item, with limited concurrency. Returns failures, one line each.
async fn each<'list, Item, Work>(items: &'list [Item], work: impl Fn(&'list Item) -> Work) -> Vec<String>
where
    Item: Named,
    Work: Future<Output = Result<(), ImageError>>,
{
    let outcomes = stream::iter(items).map(|item| {
        let running = work(item);
        async move { running.await.err().map(|error| one_line(item.name(), &error)) }
    });
    let failures: Vec<Option<String>> = outcomes.buffered(MAX_CONCURRENT).collect().await;
    failures.into_iter().flatten().collect()
}

/// Item with a name for errors.
trait Named {
    fn name(&self) -> &str;
}

impl Named for String {
    fn name(&self) -> &str {
        self
    }
}

impl Named for (String, String) {
    fn name(&self) -> &str {
        &self.1
    }
}

fn reporter(printer: &Printer) -> impl Fn(Progress<'_>) + Sync + use<> {
    let printer = printer.clone();
    move |progress| match progress {
        Progress::Retry { image, error } => printer.note(&format!("{image}: retrying: {error}")),
        Progress::Bytes { .. } => {}
    }
}

fn to_renaming(renaming: &args::ImagesRenaming, custom: Option<String>) -> Result<Renaming, CliError> {
    let args::ImagesRenaming {
        e2e_repo_config,
        e2e_repo,
    } = renaming;
    if let Some(registry) = custom {
        return Ok(Renaming::By(Translation::Custom(registry)));
    }
    if let Some(repository) = e2e_repo {
        return Ok(Renaming::Repository(repository.clone()));
    }
    match e2e_repo_config {
        Some(file) => Ok(groups(read_registries(file)?)),
        None => Ok(Renaming::None),
    }
}

fn read_registries(file: &Path) -> Result<Registries, CliError> {
    let what = format!("cannot use the registries in `{}`", file.display());
    let text = text_file::read(file).map_err(|error| CliError::new(&what).caused_by(&error))?;
    yaml::first_document(&text).map_err(|error| CliError::new(&what).caused_by(&error))
}

fn registry(access: &args::ImagesAccess, images: &[String]) -> Result<Registry, CliError> {
    let args::ImagesAccess {
        insecure_registry,
        ca_file,
    } = access;
    registries::client(insecure_registry, ca_file.as_deref(), images)
}

fn layout(store: &args::ImagesStore) -> Result<Layout, CliError> {
    if let Some(directory) = &store.store {
        return Ok(Layout::at(directory));
    }
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("XDG_CACHE_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".cache")))
        .or_else(|| set("LOCALAPPDATA"))
        .map(|cache| Layout::at(cache.join("sono/images")))
        .ok_or_else(|| CliError::new("no directory for images: HOME is not set").hint("set --store DIRECTORY"))
}

fn stored(layout: &Layout) -> Result<Vec<String>, CliError> {
    let what = format!("cannot read {}", layout.directory().display());
    let stored = layout.stored().map_err(|error| CliError::new(what).caused_by(&error))?;
    Ok(stored.into_iter().map(|stored| stored.image).collect())
}

fn conclude(failures: Vec<String>, all: usize, what: &str) -> Result<u8, CliError> {
    if failures.is_empty() {
        return Ok(exit::SUCCESS);
    }
    Err(CliError::new(format!("{} of {} {what}", failures.len(), counted(all as u64, "image"))).details(failures))
}

fn size(bytes: u64) -> indicatif::HumanBytes {
    indicatif::HumanBytes(bytes)
}

fn one_line(name: &str, error: &ImageError) -> String {
    let hint = if error.is_denied() {
        " (log in: docker login, podman login --compat-auth-file, or a credential helper)"
    } else {
        ""
    };
    format!("{name}: {}{hint}", error_chain(error))
}
