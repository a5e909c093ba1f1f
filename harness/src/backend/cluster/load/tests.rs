//! The Job as it is sent.

use super::*;

#[tokio::test]
async fn the_job_is_the_runs_and_enters_from_outside_the_mesh() {
    let client = kube::Client::try_from(kube::Config::new("http://127.0.0.1:1".parse().unwrap())).unwrap();
    let workers = Workers {
        client,
        run: "abcde".into(),
        namespace: "shop".into(),
        image: "meshquake/meshquake:0123".into(),
    };
    let mut owner = ConfigMap::default();
    owner.metadata.name = Some("meshquake-run".into());
    owner.metadata.uid = Some("u-1".into());
    let job = serde_json::to_string_pretty(&workers.job(3, &owner).unwrap()).unwrap();
    insta::assert_snapshot!(job);
}
