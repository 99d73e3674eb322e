//! Packages that would run something while they are installed.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use system_tests::scratch::Scratch;

use super::{names, run, system_with};

/// A source package whose build, in Python, leaves a mark; and a wheel that needs it by its address.
fn sources(dir: &Path, mark: &Path) {
    let build = dir.join("evil-1.0");
    fs::create_dir(&build).unwrap();
    let project = "[project]\nname = \"evil\"\nversion = \"1.0\"\n\
                   [build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n";
    fs::write(build.join("pyproject.toml"), project).unwrap();
    fs::write(build.join("PKG-INFO"), "Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n").unwrap();
    fs::write(
        build.join("backend.py"),
        format!("open({:?}, 'w').write('built')\n", mark.display().to_string()),
    )
    .unwrap();
    run("tar", &["czf", "evil-1.0.tar.gz", "evil-1.0"], dir);
    let wheel = format!(
        "import zipfile\n\
         z = zipfile.ZipFile('innocent-1.0-py3-none-any.whl', 'w')\n\
         z.writestr('innocent.py', 'def main(): pass')\n\
         i = 'innocent-1.0.dist-info/'\n\
         z.writestr(i + 'METADATA', 'Metadata-Version: 2.1\\nName: innocent\\nVersion: 1.0\\nRequires-Dist: evil @ file://{}')\n\
         z.writestr(i + 'WHEEL', 'Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')\n\
         z.writestr(i + 'RECORD', '')\n\
         z.close()\n",
        dir.join("evil-1.0.tar.gz").display()
    );
    run("python3", &["-c", &wheel], dir);
}

#[test]
fn a_package_of_pypi_that_would_be_built_is_refused_and_builds_nothing() {
    let scratch = Scratch::new("sources");
    let mark = scratch.join("mark");
    sources(scratch.path(), &mark);
    let dir = scratch.path().to_str().unwrap();
    let system = system_with(&[("PIP_NO_INDEX", "1"), ("PIP_FIND_LINKS", dir), ("PIP_NO_CACHE_DIR", "1")]);
    let direct = system.secgpt(&["apps", "add", "a", "--pypi", "evil", "--yes"]);
    assert_eq!(direct.code, Some(1), "{direct:?}");
    assert!(direct.stderr.contains("without running its own build"), "{direct:?}");
    let hidden = system.secgpt(&["apps", "add", "a", "--pypi", "innocent", "--yes"]);
    assert_eq!(hidden.code, Some(1), "{hidden:?}");
    assert!(hidden.stderr.contains("comes as source only"), "{hidden:?}");
    assert!(names(&system, "apps").is_empty());
    assert!(!mark.exists(), "the build of a package was run");
    // The control: the same wheel by pip as it is runs the build.
    let pip = ["-m", "pip", "install", "--no-index", "--find-links", dir, "--target", "t", "innocent"];
    let _ = Command::new("python3").args(pip).current_dir(scratch.path()).output().unwrap();
    assert!(mark.exists(), "the package does not do what it is here for");
}

/// A registry of one package, on a port of its own.
fn registry(package: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let own = url.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = BufReader::new(stream);
            let mut request = String::new();
            if stream.read_line(&mut request).is_err() {
                continue;
            }
            let mut header = String::new();
            while stream.read_line(&mut header).is_ok_and(|length| 2 < length) {
                header.clear();
            }
            let (kind, body) = if request.contains(".tgz") {
                ("application/octet-stream", package.clone())
            } else {
                let about = format!(
                    r#"{{"name":"evil","dist-tags":{{"latest":"1.0.0"}},"versions":{{"1.0.0":{{"name":"evil","version":"1.0.0","bin":"a.js","hasInstallScript":true,"scripts":{{"postinstall":"sh mark.sh"}},"dist":{{"tarball":"{own}/evil-1.0.0.tgz"}}}}}}}}"#
                );
                ("application/json", about.into_bytes())
            };
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            let stream = stream.get_mut();
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
    });
    url
}

#[test]
fn a_script_of_an_npm_package_is_not_run() {
    let scratch = Scratch::new("scripts");
    let mark = scratch.join("mark");
    let package = scratch.join("package");
    fs::create_dir(&package).unwrap();
    fs::write(
        package.join("package.json"),
        r#"{"name":"evil","version":"1.0.0","bin":"a.js","scripts":{"postinstall":"sh mark.sh"}}"#,
    )
    .unwrap();
    fs::write(package.join("mark.sh"), format!("echo run > {}\n", mark.display())).unwrap();
    fs::write(package.join("a.js"), "process.exit(0)\n").unwrap();
    run("tar", &["czf", "evil.tgz", "package"], scratch.path());
    let mut bytes = Vec::new();
    fs::File::open(scratch.join("evil.tgz")).unwrap().read_to_end(&mut bytes).unwrap();
    let registry = registry(bytes);
    let cache = scratch.join("cache").display().to_string();
    let system = system_with(&[
        ("npm_config_registry", &registry),
        ("npm_config_cache", &cache),
        ("npm_config_ignore_scripts", "false"),
    ]);
    let added = system.secgpt(&["apps", "add", "a", "--npm", "evil", "--yes"]);
    // It was fetched and started, in its jail, where it ended at once.
    assert!(added.stderr.contains("a ended by itself with exit code 0"), "{added:?}");
    assert!(!mark.exists(), "a script of a package was run");
    // The control: npm as it is runs it.
    let place = scratch.join("place");
    fs::create_dir(&place).unwrap();
    let words = [
        "install",
        "--no-audit",
        "--no-fund",
        "--registry",
        &registry,
        "--cache",
        &cache,
        "--prefix",
        ".",
        "evil",
    ];
    let _ = Command::new("npm").args(words).current_dir(&place).output().unwrap();
    assert!(mark.exists(), "the package does not do what it is here for");
}
