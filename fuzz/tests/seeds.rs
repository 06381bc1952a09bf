//! Every target starts from seeds. (As a test target beside the fuzz targets, this also makes cargo choose the
//! features of dependencies as for the tests, so that `fuzz/run` finds them compiled.)

use std::fs;
use std::path::Path;

#[test]
fn every_target_has_seeds() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for target in fs::read_dir(root.join("targets")).expect("targets") {
        let name = target.expect("a readable folder").path().with_extension("");
        let seeds = root.join("corpus").join(name.file_name().expect("a name"));
        let some = fs::read_dir(&seeds).is_ok_and(|mut entries| entries.next().is_some());
        assert!(some, "{} is empty or missing", seeds.display());
    }
}
