//! What a package installs beside the program: completions and man pages, made from the commands, and examples
//! that work.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use peerbound_daemon::{DaemonConfig, unix_seconds};

use crate::folder::Folder;

/// Where the examples are.
const PACKAGING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging");

#[test]
fn every_command_that_help_names_has_a_man_page_and_is_completed() {
    let folder = Folder::empty();
    let help = folder.run(&["--help"]).success();
    let commands: Vec<_> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|command| !command.is_empty() && *command != "help")
        .collect();
    assert!(commands.contains(&"run") && commands.contains(&"prove"), "{commands:?}");

    folder.run(&["man", "--dir", "pages"]).success();

    for shell in ["bash", "zsh", "fish"] {
        let script = folder.run(&["completions", shell]).success();
        for command in &commands {
            assert!(script.contains(command), "{shell}: {command}");
        }
    }
    for command in &commands {
        let page = fs::read_to_string(folder.path("pages").join(format!("peerbound-{command}.1"))).unwrap();
        assert!(page.contains(".SH SYNOPSIS"), "{command}");
    }
    let page = fs::read_to_string(folder.path("pages").join("peerbound.1")).unwrap();
    assert!(page.contains("peerbound\\-pki(1)"), "{page}");
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = Folder::empty();
    folder.write("file", "");

    let sentence = folder.run(&["man", "--dir", "file/pages"]).refusal(2);

    assert!(sentence.starts_with("file/pages: the folder cannot be made ("), "{sentence}");
}

#[test]
fn every_configuration_in_packaging_is_one_that_a_node_takes() {
    let found = configurations(Path::new(PACKAGING));
    let names: Vec<_> = found.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "docker/three-node/a.toml",
            "docker/three-node/b.toml",
            "docker/three-node/c.toml",
            "kubernetes/daemonset.yaml: node.toml",
        ],
        "a configuration that is new here wants a test"
    );

    let folder = members(&["A", "B", "C"]);
    for (name, text) in found.iter().filter(|(name, _)| name.starts_with("docker/")) {
        let file = name.rsplit('/').next().unwrap();
        folder.write(file, in_folder(text, &folder));

        let said = folder.run(&["check", file]).success();

        assert!(said.contains("neighbour"), "{name}: {said}");
    }
}

#[test]
fn nodes_of_the_compose_file_dial_addresses_that_it_gives_them() {
    let compose = fs::read_to_string(Path::new(PACKAGING).join("docker/compose.yml")).unwrap();
    let found = configurations(&Path::new(PACKAGING).join("docker"));

    let dialled: Vec<_> = found
        .values()
        .flat_map(|text| text.lines())
        .filter_map(|line| line.strip_prefix("address = \"")?.strip_suffix(":4433\""))
        .collect();

    assert_eq!(dialled.len(), 2);
    for address in dialled {
        assert!(compose.contains(&format!("ipv4_address: {address} ")), "{address}");
    }
}

#[test]
fn what_the_daemon_set_makes_of_its_template_is_taken_on_every_host() {
    let manifest = fs::read_to_string(Path::new(PACKAGING).join("kubernetes/daemonset.yaml")).unwrap();
    let template = literal(&manifest, "node.toml: |");
    let script = literal(&manifest, "- |");

    // Every host dials the gateways, and these let in all that have a certificate.
    for (host, neighbours) in [
        ("worker-1", ["gateway-1", "gateway-2"]),
        ("gateway-1", ["gateway-2", "worker-1"]),
        ("gateway-2", ["gateway-1", "worker-1"]),
    ] {
        let names = ["worker-1", "gateway-1", "gateway-2"];
        let folder = members(&names);
        // What the manifest puts into its Secret, and nothing else of the authority.
        fs::create_dir(folder.path("secret")).unwrap();
        for file in names.iter().flat_map(|name| [format!("{name}.pem"), format!("{name}.key")]) {
            fs::copy(folder.path("pki").join(&file), folder.path("secret").join(&file)).unwrap();
        }
        fs::copy(folder.path("pki/ca.pem"), folder.path("secret/ca.pem")).unwrap();
        let secret = format!("{}/", folder.path("secret").display());
        folder.write("template.toml", template.replace("/pki/", &secret));
        let places = script
            .replace("/template/node.toml", &folder.path("template.toml").display().to_string())
            .replace("/etc/peerbound/node.toml", &folder.path("node.toml").display().to_string())
            .replace("/pki/", &secret);
        // As the container does: with the shell that stands there, and with the name in the environment.
        let made = Command::new("/bin/sh").args(["-euc", &places]).env("NODE", host).output().unwrap();
        assert!(made.status.success(), "{host}: {}", String::from_utf8_lossy(&made.stderr));

        folder.run(&["check", "node.toml"]).success();

        let config = DaemonConfig::load(&folder.path("node.toml"), unix_seconds()).unwrap();
        let mut named: Vec<_> =
            config.node.neighbours.iter().map(|neighbour| neighbour.name.as_str()).collect();
        named.sort_unstable();
        assert_eq!(named, neighbours, "{host}");
        assert!(config.tun.is_some(), "{host}");
        // The probe of the manifest asks there.
        let port = config.metrics.unwrap().port();
        assert!(manifest.contains(&format!("path: /healthz, port: {port} }}")), "{port}");
    }
}

/// Makes an authority that has certified some nodes, in the folder `pki`.
fn members(names: &[&str]) -> Folder {
    let folder = Folder::empty();
    folder.run(&["pki", "init"]).success();
    for name in names {
        folder.run(&["pki", "issue", name]).success();
    }
    folder
}

/// Has a configuration find its certificates in a folder of ours, and not in that of a container.
fn in_folder(text: &str, folder: &Folder) -> String {
    text.replace("\"/pki/", &format!("\"{}/", folder.path("pki").display()))
}

/// Reads every configuration below a folder: in a file of its own, or in a manifest.
fn configurations(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(root).unwrap().display().to_string();
            let text = || fs::read_to_string(&path).unwrap();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("toml") => drop(found.insert(name, text())),
                Some("yaml" | "yml") => {
                    let text = text();
                    let keys = text.lines().filter_map(|line| line.trim().strip_suffix(".toml: |"));
                    for key in keys {
                        found
                            .insert(format!("{name}: {key}.toml"), literal(&text, &format!("{key}.toml: |")));
                    }
                }
                _ => {}
            }
        }
    }
    found
}

/// Returns the text that stands below a line of YAML which ends with the sign for a literal block.
fn literal(manifest: &str, head: &str) -> String {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut lines = manifest.lines().skip_while(|line| line.trim() != head);
    let outer = indent(lines.next().unwrap_or_else(|| panic!("there is {head:?}")));
    let block: Vec<_> = lines.take_while(|line| line.trim().is_empty() || indent(line) > outer).collect();
    let inner = block.first().map_or(0, |line| indent(line));
    block.iter().map(|line| format!("{}\n", line.get(inner..).unwrap_or_default())).collect()
}
