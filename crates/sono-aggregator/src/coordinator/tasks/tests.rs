use sono_types::Target;

use super::*;

fn key() -> ResultKey {
    ResultKey::new(PluginName::parse("p").unwrap(), Target::Global)
}

/// The cause of the failure, here a full disk, may also delay its error file.
#[tokio::test(start_paused = true)]
async fn error_on_full_disk_is_recorded_once_space_is_free() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("errors");
    fs_err::write(&place, "in the way").unwrap();
    let mut tasks = Tasks::new(&DiskFull::default());
    tasks.record(&place, &key(), Failure::new("no room"));
    let away = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        fs_err::remove_file(&place).unwrap();
    };
    tokio::join!(std::mem::take(&mut tasks.writes).join_all(), away);
    let text = fs_err::read_to_string(place.join(constants::ERROR_FILE)).unwrap();
    assert_eq!(text, r#"{"error":"no room"}"#);
}

/// The journal has only the beginning of a long error; the file of an earlier process has the whole text.
#[tokio::test]
async fn error_with_shortened_record_is_written_if_its_file_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("errors");
    let failure = Failure::new("x".repeat(9 << 10));
    let record = async |failure: Failure| {
        let mut tasks = Tasks::new(&DiskFull::default());
        tasks.record(&place, &key(), failure);
        std::mem::take(&mut tasks.writes).join_all().await;
        fs_err::read_to_string(place.join(constants::ERROR_FILE)).unwrap()
    };
    let cut = record(failure.for_record()).await;
    assert_eq!(
        cut,
        format!(r#"{{"error":"{}","leftOut":{{"error":1024}}}}"#, "x".repeat(8 << 10))
    );
    let whole = record(failure.clone()).await;
    assert_eq!(whole, format!(r#"{{"error":"{}"}}"#, failure.message));
    assert_eq!(record(failure.for_record()).await, whole);
}
