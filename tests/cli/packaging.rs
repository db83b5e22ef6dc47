//! What a package installs beside the program: completions and man pages, made from the commands.

use std::fs;

use crate::folder::Folder;

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
