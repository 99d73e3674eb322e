//! drive: a few files kept in the data folder, filled from the seed at first.
//!
//! Answers: files and their contents; and keeps every call in `journal.jsonl`.
//! Never: touches a real file of the name it was given. A name here is a key in one JSON file.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::folder::{Folder, Locked, now};
use crate::operation::{App, Line, Operation, Refusal, Text, parse};

/// The user's files.
pub static DRIVE: App = App {
    name: "drive",
    operations: &[
        Operation {
            name: "list",
            about: "Lists all files, without their contents.",
            request: include_str!("../../../data/apps/drive/list.request.json"),
            response: include_str!("../../../data/apps/drive/list.response.json"),
            reads_only: true,
            run: list,
        },
        Operation {
            name: "search",
            about: "Finds files that contain all of the words.",
            request: include_str!("../../../data/apps/drive/search.request.json"),
            response: include_str!("../../../data/apps/drive/search.response.json"),
            reads_only: true,
            run: search,
        },
        Operation {
            name: "read",
            about: "Gives the content of a file.",
            request: include_str!("../../../data/apps/drive/read.request.json"),
            response: include_str!("../../../data/apps/drive/read.response.json"),
            reads_only: true,
            run: read,
        },
        Operation {
            name: "write",
            about: "Writes a file, replacing one of that name.",
            request: include_str!("../../../data/apps/drive/write.request.json"),
            response: include_str!("../../../data/apps/drive/write.response.json"),
            reads_only: false,
            run: write,
        },
        Operation {
            name: "share",
            about: "Lets another person read a file.",
            request: include_str!("../../../data/apps/drive/share.request.json"),
            response: include_str!("../../../data/apps/drive/share.response.json"),
            reads_only: false,
            run: share,
        },
    ],
};

const FILES: &str = "files.json";

#[derive(Deserialize, Serialize)]
struct Files {
    files: Vec<Entry>,
}

#[derive(Deserialize, Serialize)]
struct Entry {
    id: String,
    name: String,
    modified: String,
    shared_with: Vec<String>,
    content: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Search {
    query: Line,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    file: Line,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Write {
    name: Line,
    content: Text<65536>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Share {
    file: Line,
    with: Line<254>,
}

fn list(folder: &Folder, arguments: Map<String, Value>) -> Result<Value, Refusal> {
    let (_data, files) = open(folder, "list", &arguments)?;
    let List {} = parse(arguments)?;
    Ok(json!({ "files": files.files.iter().map(summary).collect::<Vec<_>>() }))
}

fn search(folder: &Folder, arguments: Map<String, Value>) -> Result<Value, Refusal> {
    let (_data, files) = open(folder, "search", &arguments)?;
    let Search { query } = parse(arguments)?;
    let words: Vec<String> = query.as_str().split_whitespace().map(str::to_lowercase).collect();
    let matches = |entry: &&Entry| {
        let text = format!("{} {}", entry.name, entry.content).to_lowercase();
        words.iter().all(|word| text.contains(word))
    };
    Ok(json!({ "files": files.files.iter().filter(matches).map(summary).collect::<Vec<_>>() }))
}

fn read(folder: &Folder, arguments: Map<String, Value>) -> Result<Value, Refusal> {
    let (_data, mut files) = open(folder, "read", &arguments)?;
    let Read { file } = parse(arguments)?;
    let entry = find(&mut files, file.as_str())?;
    Ok(json!({ "id": entry.id, "name": entry.name, "content": entry.content }))
}

fn write(folder: &Folder, arguments: Map<String, Value>) -> Result<Value, Refusal> {
    let (data, mut files) = open(folder, "write", &arguments)?;
    let Write { name, content } = parse(arguments)?;
    let content = content.as_str().to_owned();
    let id = if let Some(entry) = files.files.iter_mut().find(|entry| entry.name == name.as_str()) {
        entry.content = content;
        entry.modified = now();
        entry.id.clone()
    } else {
        // Nothing here removes a file, so the count is a number no file has yet.
        let id = format!("f{}", files.files.len() + 1);
        let name = name.as_str().to_owned();
        files.files.push(Entry { id: id.clone(), name, modified: now(), shared_with: Vec::new(), content });
        id
    };
    data.store(FILES, &files)?;
    Ok(json!({ "id": id, "name": name, "status": "written" }))
}

fn share(folder: &Folder, arguments: Map<String, Value>) -> Result<Value, Refusal> {
    let (data, mut files) = open(folder, "share", &arguments)?;
    let Share { file, with } = parse(arguments)?;
    let entry = find(&mut files, file.as_str())?;
    if !entry.shared_with.iter().any(|person| person == with.as_str()) {
        entry.shared_with.push(with.as_str().to_owned());
    }
    let answer = json!({ "id": entry.id, "name": entry.name, "shared_with": entry.shared_with });
    data.store(FILES, &files)?;
    Ok(answer)
}

fn open<'a>(
    folder: &'a Folder,
    operation: &str,
    arguments: &Map<String, Value>,
) -> Result<(Locked<'a>, Files), Refusal> {
    let data = folder.lock()?;
    data.note(operation, arguments)?;
    let files = data.load_seeded(FILES)?;
    Ok((data, files))
}

fn find<'a>(files: &'a mut Files, wanted: &str) -> Result<&'a mut Entry, Refusal> {
    files
        .files
        .iter_mut()
        .find(|entry| entry.id == wanted || entry.name == wanted)
        .ok_or_else(|| Refusal::Absent { kind: "file", name: wanted.to_owned() })
}

fn summary(entry: &Entry) -> Value {
    json!({ "id": entry.id, "name": entry.name, "modified": entry.modified, "size": entry.content.len(), "shared_with": entry.shared_with })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use std::path::{Path, PathBuf};

    use serde_json::{Value, json};

    use super::DRIVE;
    use crate::folder::Folder;
    use crate::operation::Refusal;

    fn call(data: &Path, name: &str, arguments: Value) -> Result<Value, Refusal> {
        let app: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/apps/drive");
        let operation = DRIVE.operations.iter().find(|operation| operation.name == name).unwrap();
        (operation.run)(&Folder::at(app, data), arguments.as_object().unwrap().clone())
    }

    #[test]
    fn a_written_file_is_found_read_and_shared() {
        let data = tempfile::tempdir().unwrap();
        let data = data.path();
        call(data, "write", json!({"name": "note.txt", "content": "blue heron"})).unwrap();
        assert_eq!(call(data, "search", json!({"query": "HERON"})).unwrap()["files"][0]["name"], "note.txt");
        assert_eq!(call(data, "read", json!({"file": "f4"})).unwrap()["content"], "blue heron");
        call(data, "share", json!({"file": "note.txt", "with": "a@b.example"})).unwrap();
        assert_eq!(call(data, "list", json!({})).unwrap()["files"][3]["shared_with"], json!(["a@b.example"]));
    }

    #[test]
    fn a_path_is_a_name_like_any_other_and_names_nothing() {
        let data = tempfile::tempdir().unwrap();
        assert!(call(data.path(), "read", json!({"file": "/etc/passwd"})).is_err());
        assert!(call(data.path(), "read", json!({"file": "../seed.json"})).is_err());
    }
}
