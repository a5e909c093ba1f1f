use meshquake::backend::{
    Choice,
    cluster::{provision, settings::Settings},
};
#[tokio::main]
async fn main() {
    let began = std::time::Instant::now();
    let choice = match std::env::args().nth(1).as_deref() {
        Some("k3d") => Choice::K3d,
        Some("kind") => Choice::Kind,
        Some(c) => Choice::Context { name: c.into(), yes_really: false },
        None => panic!(),
    };
    let settings =
        Settings::find(std::env::var_os("MESHQUAKE_CONFIG").map(std::path::PathBuf::from).as_deref())
            .unwrap_or_else(|p| panic!("{}", meshquake::problem::plain(&p)));
    match provision::reach(&choice, &settings, &|t| eprintln!("{:6.1} {t}", began.elapsed().as_secs_f64()))
        .await
    {
        Ok(r) => println!(
            "{} {} made {} {:?} {:?} {:?} in {:?}",
            r.name,
            r.entry,
            r.made,
            r.injection,
            r.versions,
            r.took,
            began.elapsed()
        ),
        Err(e) => println!("ERROR {}", meshquake::run::chain(&e)),
    }
}
