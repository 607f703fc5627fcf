//! `cargo xtask`: the project's tasks, one file each in `tasks/`.

mod tasks;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tasks for developers of opcancel.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    arg_required_else_help = true
)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    Bench(tasks::bench::Arguments),
    Catalogue(tasks::catalogue::Arguments),
    ControlPlane(tasks::control_plane::Arguments),
    Crds(tasks::crds::Arguments),
    Demo(tasks::demo::Arguments),
    Deploy(tasks::deploy::Arguments),
    Fuzz(tasks::fuzz::Arguments),
    Image(tasks::image::Arguments),
    Release(tasks::release::Arguments),
    Soak(tasks::soak::Arguments),
    Test(tasks::test::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Bench(arguments) => tasks::bench::run(arguments),
        Task::Catalogue(arguments) => tasks::catalogue::run(arguments),
        Task::ControlPlane(arguments) => tasks::control_plane::run(arguments),
        Task::Crds(arguments) => tasks::crds::run(arguments),
        Task::Demo(arguments) => tasks::demo::run(arguments),
        Task::Deploy(arguments) => tasks::deploy::run(arguments),
        Task::Fuzz(arguments) => tasks::fuzz::run(&arguments),
        Task::Image(arguments) => tasks::image::run(arguments),
        Task::Release(arguments) => tasks::release::run(arguments),
        Task::Soak(arguments) => tasks::soak::run(&arguments),
        Task::Test(arguments) => tasks::test::run(arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
