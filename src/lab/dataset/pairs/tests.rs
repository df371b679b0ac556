use super::*;

/// Writes pictures of `h` x `w` under a temporary folder.
fn folder(files: &[(&str, usize, usize)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for &(name, h, w) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let shape = Shape::new(1, 3, h, w);
        let values = (0..shape.len()).map(|i| (i % w) as f32 / 255.0).collect();
        image::write(path, &Tensor::new(shape, values).into()).unwrap();
    }
    folder
}

fn found(folder: &tempfile::TempDir) -> Result<Vec<(String, String)>> {
    let pairs = find_pairs(&folder.path().join("in"), Some(&folder.path().join("gt")), Pairing::Names)?;
    let name = |p: &Path| p.file_name().unwrap().to_str().unwrap().to_owned();
    Ok(pairs.iter().map(|p| (name(&p.input), name(p.truth.as_deref().unwrap()))).collect())
}

fn check(files: &[&str], expected: &[(&str, &str)]) {
    let folder = folder(&files.iter().map(|name| (*name, 2, 2)).collect::<Vec<_>>());
    let expected: Vec<_> = expected.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect();
    assert_eq!(found(&folder).unwrap(), expected);
}

fn error(files: &[(&str, usize, usize)]) -> String {
    found(&folder(files)).unwrap_err().to_string()
}

#[test]
fn every_layout() {
    check(&["in/b.png", "in/a.png", "gt/a.bmp", "gt/b.png"], &[("a.png", "a.bmp"), ("b.png", "b.png")]);
    check(
        &["in/S1T1.png", "in/S1T10.png", "in/S12T1.png", "gt/S1.png", "gt/S12.png", "gt/S2.png"],
        &[("S1T1.png", "S1.png"), ("S1T10.png", "S1.png"), ("S12T1.png", "S12.png")],
    );
    check(
        &["in/kodim02_T01.png", "in/kodim02_T03.png", "gt/kodim02.png"],
        &[("kodim02_T01.png", "kodim02.png"), ("kodim02_T03.png", "kodim02.png")],
    );
    check(
        &["in/0_in.png", "in/1_in.png", "gt/0_gt.png", "gt/1_gt.png"],
        &[("0_in.png", "0_gt.png"), ("1_in.png", "1_gt.png")],
    );
}

#[test]
fn one_picture_of_a_set() {
    let folder = folder(&[("in/a.png", 2, 2), ("gt/a.png", 2, 2), ("gt/b.png", 2, 2)]);
    let pairs = find_pairs(&folder.path().join("in/a.png"), Some(&folder.path().join("gt")), Pairing::Names).unwrap();
    assert_eq!(pairs[0].truth, Some(folder.path().join("gt/a.png")));
    assert_eq!(pairs.len(), 1);
}

#[test]
fn side_by_side_has_the_ground_truth_left() {
    let folder = folder(&[("both/a.png", 3, 8)]);
    let pairs = find_pairs(&folder.path().join("both"), None, Pairing::Names).unwrap();
    let (input, truth) = pairs[0].read().unwrap();
    assert_eq!((input.shape, truth.shape), (Shape::new(1, 3, 3, 4), Shape::new(1, 3, 3, 4)));
    assert_eq!((image::quantise(&truth), image::quantise(&input)), ([0, 1, 2, 3].repeat(9), [4, 5, 6, 7].repeat(9)));
}

#[test]
fn errors_name_the_pictures_and_the_layouts() {
    let missing = error(&[("in/a.png", 2, 2), ("in/bT1.png", 2, 2), ("in/c.png", 2, 2), ("gt/a.png", 2, 2)]);
    assert!(missing.contains("3 inputs, 1 ground truth in"), "{missing}");
    assert!(missing.contains("no ground truth for bT1.png, c.png;"), "{missing}");
    assert!(missing.contains("inputs/S1T1.png"), "{missing}");
    // As many, but some names say that they belong together and others do not.
    let mixed = error(&[("in/a.png", 2, 2), ("in/b.png", 2, 2), ("gt/a.png", 2, 2), ("gt/x.png", 2, 2)]);
    assert!(mixed.contains("no ground truth for b.png"), "{mixed}");
    let lonely = error(&[("in/a.png", 2, 2), ("gt/a.png", 2, 2), ("gt/b.png", 2, 2)]);
    assert!(lonely.contains("no input for the ground truths b.png"), "{lonely}");
    let twice = error(&[("in/a.png", 2, 2), ("gt/a.png", 2, 2), ("gt/a.bmp", 2, 2)]);
    assert!(twice.contains("a second ground truth"), "{twice}");
    let size = error(&[("in/a.png", 2, 3), ("gt/a.png", 4, 5)]);
    assert!(size.contains("2 rows x 3 columns") && size.contains("4 x 5"), "{size}");
    let odd = find_pairs(folder(&[("a.png", 2, 3)]).path(), None, Pairing::Names).unwrap_err().to_string();
    assert!(odd.contains("3 columns cannot be"), "{odd}");
}

#[test]
fn nks_with_its_twenty_ground_truths() {
    let inputs: Vec<String> = (1..=20).flat_map(|i| (1..=10).map(move |j| format!("in/S{i}T{j}.png"))).collect();
    for truth in ["S", "", "GT", "S0", "gt_0"] {
        let truths = (1..=20).map(|i| format!("gt/{truth}{i}.png"));
        let files: Vec<String> = inputs.iter().cloned().chain(truths).collect();
        let folder = folder(&files.iter().map(|name| (name.as_str(), 2, 2)).collect::<Vec<_>>());
        let pairs = found(&folder).unwrap();
        assert_eq!(pairs.len(), 200);
        for (input, found) in pairs {
            let number = input[1..].split('T').next().unwrap();
            assert_eq!(found, format!("{truth}{number}.png"), "{input}");
        }
    }
    // Two ground truths with one number: which of them is meant?
    let unclear = error(&[("in/S1T1.png", 2, 2), ("gt/a1.png", 2, 2), ("gt/b1.png", 2, 2)]);
    assert!(unclear.contains("no ground truth for S1T1.png") && unclear.contains("truths/S1.png ... S20.png"));
    // A photo is no S<i>: its number says nothing.
    let photo = error(&[("in/photo1_T1.png", 2, 2), ("gt/1.png", 2, 2), ("gt/2.png", 2, 2)]);
    assert!(photo.contains("no ground truth for photo1_T1.png"), "{photo}");
}

#[test]
fn both_folders_in_one() {
    for truths in ["gt", "GT", "Truths", "ground_truth", "ground-truth (20)", "targets"] {
        let file = format!("set/{truths}/S1.png");
        let folder = folder(&[("set/images/S1T1.png", 2, 2), ("set/overview.jpg", 2, 3), (&file, 2, 2)]);
        let pairs = find_pairs(&folder.path().join("set"), None, Pairing::Names).unwrap();
        let expected = [folder.path().join("set/images/S1T1.png"), folder.path().join(&file)];
        assert_eq!(pairs.len(), 1);
        assert_eq!([pairs[0].input.clone(), pairs[0].truth.clone().unwrap()], expected);
    }
}

#[test]
fn what_is_no_layout_shows_those_that_are() {
    let folder =
        folder(&[("set/one/a.png", 2, 2), ("set/two/a.png", 2, 2), ("in/S1T1.png", 2, 2), ("gt/S1.png", 2, 2)]);
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("empty")).unwrap();
    let fails = |inputs: &str, truths: Option<&str>, parts: &[&str]| {
        let error = find_pairs(&at(inputs), truths.map(at).as_deref(), Pairing::Names).unwrap_err().to_string();
        for part in [parts, &["expected one of", "two folders, the same names:", "SPS, both in one picture:"]].concat()
        {
            assert!(error.contains(part), "{part:?} is not in: {error}");
        }
    };
    fails("empty", None, &["empty", "holds no pictures (.png"]);
    fails("in", Some("empty"), &["empty", "holds no pictures"]);
    fails("set", None, &["holds no pictures", "but the folders one, two: give one of those"]);
    fails("set", Some("gt"), &["but the folders one, two"]);
    fails("gt", Some("in"), &["these are the ground truths of", "the other way round"]);
    let none = find_pairs(&at("none"), None, Pairing::Names).unwrap_err().to_string();
    assert!(none.contains("none: No such file"), "{none}");
}

/// Names of inputs and ground truths below a set's folder.
fn set(files: &[&str]) -> Result<Vec<String>> {
    let folder = folder(&files.iter().map(|name| (*name, 2, 2)).collect::<Vec<_>>());
    let name = |path: &Path| path.strip_prefix(folder.path()).unwrap().to_str().unwrap().replace('\\', "/");
    let pair = |p: Pair| [Some(name(&p.input)), p.truth.as_deref().map(name)].into_iter().flatten().collect();
    Ok(find_pairs(folder.path(), None, Pairing::Names)?
        .into_iter()
        .map(|p| -> Vec<String> { pair(p) })
        .map(|p| p.join(" "))
        .collect())
}

#[test]
fn every_layout_of_a_set() {
    assert_eq!(set(&["input/a.png", "gt/a.png", "readme.png"]).unwrap(), ["input/a.png gt/a.png"]);
    assert_eq!(set(&["Textured/S1T2.png", "CLEAN/S1.png"]).unwrap(), ["Textured/S1T2.png CLEAN/S1.png"]);
    let flat = ["S1.png", "S1T1.png", "S1T2.png", "p.png", "p_T07.png"];
    assert_eq!(set(&flat).unwrap(), ["S1T1.png S1.png", "S1T2.png S1.png", "p_T07.png p.png"]);
    assert_eq!(set(&["a.png", "b.png"]).unwrap(), ["a.png", "b.png"]);
}

#[test]
fn what_is_no_set() {
    let error = |files: &[&str]| set(files).unwrap_err().to_string();
    for (files, part) in [
        (&["input/a.png"][..], "holds input, but no folder of ground truths"),
        (&["gt/a.png", "a.png"], "holds gt, but no folder of inputs"),
        (&["S1.png", "S1T1.png", "x.png"], "neither input nor ground truth: x.png"),
        (&["input/a.png", "inputs/a.png", "gt/a.png"], "holds input, inputs: which one has the inputs?"),
        (&["one/a.png", "two/a.png", "gt/a.png"], "holds one, two: which one has the inputs?"),
        (&["input/a.png", "clean/a.png", "gt/a.png"], "holds clean, gt: which one has the ground truths?"),
    ] {
        let text = error(files);
        assert!(text.contains(part) && text.contains("set/input/ and set/gt/"), "{text}");
    }
    assert!(error(&["input/a.png", "input/b.png", "gt/a.png"]).contains("no ground truth for b.png"));
    let file = folder(&[("a.png", 2, 2)]);
    assert!(matches!(find_pairs(&file.path().join("b"), None, Pairing::Names), Err(Error::Io { .. })));
}

#[test]
fn names_without_their_texture() {
    let cases = [("S3T7", Some("S3")), ("kodim02_T01", Some("kodim02")), ("S3T", None), ("S3", None), ("7", None)];
    for (name, expected) in cases {
        assert_eq!(without_texture(name), expected, "{name}");
    }
}

#[test]
fn names_that_differ_in_the_same_part() {
    let numbered = |form: fn(usize) -> String| (1..=10).map(form).collect::<Vec<String>>();
    let inputs = numbered(|i| format!("in/lq_{i}.png"));
    for truths in [numbered(|i| format!("gt/hq_{i:02}.png")), numbered(|i| format!("gt/{i:05}_GT(x2).png"))] {
        let files: Vec<&str> = inputs.iter().chain(&truths).map(String::as_str).collect();
        let name = |path: &str| path[3..].to_string();
        let expected: Vec<_> = inputs.iter().zip(&truths).map(|(input, truth)| (name(input), name(truth))).collect();
        let folder = folder(&files.iter().map(|name| (*name, 2, 2)).collect::<Vec<_>>());
        assert_eq!(found(&folder).unwrap(), expected);
    }
    // Letters, where the order of the files is another.
    check(&["in/x-A.png", "in/x-b.png", "gt/B_1.png", "gt/a_1.png"], &[("x-A.png", "a_1.png"), ("x-b.png", "B_1.png")]);
    // One of each.
    check(&["in/photo.png", "gt/clean.png"], &[("photo.png", "clean.png")]);
}

#[test]
fn names_that_do_not_agree_are_shown_and_paired_in_order_only_if_asked() {
    for (files, pairs) in [
        (["in/a10.png", "in/a11.png", "gt/b20.png", "gt/b21.png"], "a10.png with b20.png, a11.png with b21.png"),
        (["in/a2.png", "in/a10.png", "gt/b1.png", "gt/b2.png"], "a2.png with b1.png, a10.png with b2.png"),
        (["in/one.png", "in/two.png", "gt/x.png", "gt/y.png"], "one.png with x.png, two.png with y.png"),
        (["in/a1.png", "in/a01.png", "gt/b1.png", "gt/b2.png"], " with b1.png, "),
    ] {
        let folder = folder(&files.map(|name| (name, 2, 2)));
        let error = found(&folder).unwrap_err().to_string();
        assert!(error.contains("do not say which belongs to which; in their order "), "{error}");
        assert!(error.contains(pairs), "{error}");
        let [inputs, truths] = ["in", "gt"].map(|name| folder.path().join(name));
        let pairs_in_order = find_pairs(&inputs, Some(&truths), Pairing::Order).unwrap();
        assert!(shown(&pairs_in_order).contains(pairs));
    }
    let folder = folder(&[("in/a.png", 2, 2), ("gt/b.png", 2, 2), ("gt/c.png", 2, 2)]);
    let [inputs, truths] = ["in", "gt"].map(|name| folder.path().join(name));
    let error = find_pairs(&inputs, Some(&truths), Pairing::Order).unwrap_err().to_string();
    assert!(error.contains("1 input in order for 2 ground truths"), "{error}");
}

#[test]
fn what_remains_of_names() {
    let cores = |names: &[&str]| cores(&names.iter().map(PathBuf::from).collect::<Vec<_>>());
    assert_eq!(cores(&["lq_1.png", "lq_10.png"]), ["1", "10"]);
    assert_eq!(cores(&["a10b.png", "a11b.png"]), ["10", "11"]);
    assert_eq!(cores(&["Xa007.png", "xb000.png"]), ["a7", "b0"]);
    assert_eq!(cores(&["one.png"]), [""]);
    assert_eq!(cores(&["aa.png", "aaa.png"]), ["", "a"]);
    assert_eq!(cores(&["é1.png", "é2.png"]), ["1", "2"]);
}
