//! Published data sets by their layouts, on small trees that the tests write themselves.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use spadework::Config;
use spadework::config::{Preset, Upsampling};
use spadework::data::list::{Listing, list, natural_order};
use spadework::data::{DataConfig, Dataset, DatasetMode, Item, Phase, Preprocess, Report, check};
use toml::Table;

/// Width and height of every file.
const SIZE: [u32; 2] = [3, 2];

fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().unwrap();
    std::fs::create_dir_all(folder).unwrap();
    folder
}

fn photo(path: PathBuf) {
    folder_of(&path);
    let pixels =
        image::RgbImage::from_fn(SIZE[0], SIZE[1], |x, y| image::Rgb([x as u8, y as u8, 9]));
    // By its content, a file is a PNG whatever its name.
    pixels
        .save_with_format(path, image::ImageFormat::Png)
        .unwrap();
}

fn map(path: PathBuf, ids: [u8; 6]) {
    folder_of(&path);
    let pixels = image::GrayImage::from_raw(SIZE[0], SIZE[1], ids.to_vec()).unwrap();
    pixels
        .save_with_format(path, image::ImageFormat::Png)
        .unwrap();
}

fn wide_map(path: PathBuf, ids: [u16; 6]) {
    folder_of(&path);
    let pixels =
        image::ImageBuffer::<image::Luma<u16>, _>::from_raw(SIZE[0], SIZE[1], ids.to_vec());
    pixels.unwrap().save(path).unwrap();
}

fn config(mode: DatasetMode, dir: &Path) -> DataConfig {
    DataConfig {
        dataset_mode: mode,
        ..DataConfig::of_dir(dir)
    }
}

fn listed(config: &DataConfig, phase: Phase) -> Listing {
    let instances = config.label_space().unwrap().instances;
    list(config, phase, instances)
        .unwrap()
        .expect("the part is there")
}

/// Names of the pairs of a part without problems.
#[track_caller]
fn names(config: &DataConfig, phase: Phase) -> Vec<String> {
    let listing = listed(config, phase);
    assert_eq!(listing.problems, []);
    listing.pairs.into_iter().map(|pair| pair.name).collect()
}

fn problems(listing: &Listing) -> String {
    let lines: Vec<String> = listing.problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

fn first(config: &DataConfig, phase: Phase) -> Item {
    let space = config.label_space().unwrap();
    let dataset = Dataset::open(config, phase, &space).unwrap();
    dataset.load(0, [0, 0]).unwrap()
}

fn report(config: &DataConfig) -> Report {
    check(config, &|_, _| {}).unwrap()
}

fn cityscapes(dir: &Path, phase: &str, frame: &str) {
    let city = frame.split('_').next().unwrap();
    photo(dir.join(format!(
        "leftImg8bit/{phase}/{city}/{frame}_leftImg8bit.png"
    )));
    let fine = |kind: &str| dir.join(format!("gtFine/{phase}/{city}/{frame}_gtFine_{kind}"));
    map(fine("labelIds.png"), [7, 7, 26, 26, 23, 0]);
    wide_map(fine("instanceIds.png"), [7, 7, 26000, 26001, 23, 0]);
    map(fine("labelTrainIds.png"), [0, 0, 13, 13, 10, 255]);
    photo(fine("color.png"));
    std::fs::write(fine("polygons.json"), "{}").unwrap();
}

#[test]
fn cityscapes_pairs_by_city_sequence_and_frame() {
    let dir = tempfile::tempdir().unwrap();
    let frames = [
        "ulm_000002_000019",
        "aachen_000010_000019",
        "aachen_000009_000019",
    ];
    for frame in frames {
        cityscapes(dir.path(), "train", frame);
    }
    cityscapes(dir.path(), "val", "munster_000000_000019");
    let config = config(DatasetMode::Cityscapes, dir.path());
    let sorted = [
        "aachen_000009_000019",
        "aachen_000010_000019",
        "ulm_000002_000019",
    ];
    assert_eq!(names(&config, Phase::Train), sorted);
    assert_eq!(names(&config, Phase::Val), ["munster_000000_000019"]);
    let item = first(&config, Phase::Train);
    assert_eq!(item.labels.data, [7, 7, 26, 26, 23, 0]);
    assert_eq!(item.instances.unwrap().data, [7, 7, 26000, 26001, 23, 0]);
    let report = report(&config);
    assert!(report.is_ok(), "{report}");
    assert_eq!(
        (report.label_nc, report.dontcare, report.instances),
        (35, false, true)
    );
    assert_eq!(report.classes[0].name, "road");

    let lost = "gtFine/train/ulm/ulm_000002_000019_gtFine_instanceIds.png";
    std::fs::remove_file(dir.path().join(lost)).unwrap();
    let text = problems(&listed(&config, Phase::Train));
    assert!(
        text.contains("leftImg8bit.png: has no instance map ulm_000002_000019*_instanceIds.png"),
        "{text}"
    );
    let without = DataConfig {
        instances: Some(false),
        ..config
    };
    assert_eq!(names(&without, Phase::Train).len(), 3);
}

#[test]
fn ade20k_lies_in_any_folders_and_keeps_its_numbers() {
    let dir = tempfile::tempdir().unwrap();
    for (phase, folder, number) in [
        ("train", "training", 10),
        ("train", "training", 9),
        ("val", "validation", 1),
    ] {
        let name = format!("ADE_{phase}_{number:08}");
        photo(dir.path().join(format!("images/{folder}/{name}.jpg")));
        let labels = dir.path().join(format!("annotations/{folder}/{name}.png"));
        map(labels, [0, 1, 1, 150, 7, 7]);
    }
    std::fs::write(dir.path().join("sceneCategories.txt"), "").unwrap();
    let raw = config(DatasetMode::Ade20k, dir.path());
    assert_eq!(
        names(&raw, Phase::Train),
        ["ADE_train_00000009", "ADE_train_00000010"]
    );
    assert_eq!(names(&raw, Phase::Val), ["ADE_val_00000001"]);
    assert_eq!(first(&raw, Phase::Val).labels.data, [0, 1, 1, 150, 7, 7]);
    let shifted = DataConfig {
        classes: Some("ade20k-shifted".into()),
        ..raw.clone()
    };
    assert_eq!(
        first(&shifted, Phase::Val).labels.data,
        [150, 0, 0, 149, 6, 6]
    );
    for config in [&raw, &shifted] {
        let space = config.label_space().unwrap();
        assert_eq!((space.channels(), space.instances), (151, false));
        let shares = report(config).classes;
        let mut seen: Vec<&str> = shares.iter().map(|share| share.name.as_str()).collect();
        seen.sort_unstable();
        let unknown = if config == &raw {
            "unknown"
        } else {
            "unlabelled"
        };
        assert_eq!(seen, ["flag", "road", unknown, "wall"]);
    }

    // Instance maps, which the data set does not have, may come from elsewhere.
    let with_instances = DataConfig {
        instance_dir: Some(dir.path().join("own")),
        ..raw
    };
    map(
        dir.path().join("own/ADE_val_00000001.png"),
        [1, 1, 2, 2, 3, 3],
    );
    let item = first(&with_instances, Phase::Val);
    assert_eq!(item.instances.unwrap().data, [1, 1, 2, 2, 3, 3]);
    let text = problems(&listed(&with_instances, Phase::Train));
    assert!(
        text.contains("own: holds no instance map (*_train_*.png)"),
        "{text}"
    );
}

#[test]
fn outdoor_scenes_are_chosen_by_the_scene_list_or_by_names() {
    let dir = tempfile::tempdir().unwrap();
    for number in 1..=4 {
        let name = format!("ADE_train_{number:08}");
        photo(dir.path().join(format!("{name}.jpg")));
        map(dir.path().join(format!("{name}.png")), [number; 6]);
    }
    let outdoor = config(DatasetMode::Ade20kOutdoor, dir.path());
    let error = list(&outdoor, Phase::Train, false).unwrap_err();
    assert_eq!(error.exit_code(), 3);
    assert!(error.to_string().contains("sceneCategories.txt"), "{error}");

    let scenes = "ADE_train_00000001 bedroom\nADE_train_00000002 street\nADE_train_00000003   church/indoor\n\
                  ADE_train_00000004 castle\n";
    std::fs::write(dir.path().join("sceneCategories.txt"), scenes).unwrap();
    assert_eq!(
        names(&outdoor, Phase::Train),
        ["ADE_train_00000002", "ADE_train_00000004"]
    );
    let own = dir.path().join("mine.txt");
    std::fs::write(
        &own,
        "ADE_train_00000003.jpg\n\nADE_train_00000001 because\n",
    )
    .unwrap();
    let chosen = DataConfig {
        only: Some(own),
        ..outdoor
    };
    assert_eq!(
        names(&chosen, Phase::Train),
        ["ADE_train_00000001", "ADE_train_00000003"]
    );
    let one = DataConfig {
        max_dataset_size: Some(1),
        ..chosen.clone()
    };
    assert_eq!(names(&one, Phase::Train), ["ADE_train_00000001"]);
    std::fs::write(chosen.only.as_ref().unwrap(), "ADE_val_1").unwrap();
    let error = check(&chosen, &|_, _| {}).unwrap_err().to_string();
    assert!(
        error.contains(
            "holds no files like ADE_train_00000001.jpg and .png, in any folders, or none of the"
        ),
        "{error}"
    );
}

fn coco(dir: &Path, folder: &str, name: &str) {
    photo(dir.join(format!("{}/{name}.JPG", folder.replace('*', "img"))));
    map(
        dir.join(format!("{}/{name}.png", folder.replace('*', "label"))),
        [0, 181, 255, 255, 0, 0],
    );
    map(
        dir.join(format!("{}/{name}.png", folder.replace('*', "inst"))),
        [0, 181, 255, 255, 1, 1],
    );
}

#[test]
fn coco_trains_on_portraits_unless_told_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    coco(dir.path(), "train_*", "000000000139");
    coco(dir.path(), "train_*_portrait", "000000000025");
    coco(dir.path(), "val_*", "7");
    coco(dir.path(), "val_*_portrait", "8");
    let all = config(DatasetMode::Coco, dir.path());
    assert_eq!(
        names(&all, Phase::Train),
        ["000000000139", "portrait/000000000025"]
    );
    assert_eq!(names(&all, Phase::Val), ["7"]);
    let item = first(&all, Phase::Val);
    assert_eq!(item.labels.data, [0, 181, 182, 182, 0, 0]);
    assert_eq!(item.instances.unwrap().data, [0, 181, 255, 255, 1, 1]);
    let without = DataConfig {
        coco_portraits: false,
        ..all.clone()
    };
    assert_eq!(names(&without, Phase::Train), ["000000000139"]);

    // Names chosen from one folder leave the other folders and parts out.
    let names_file = dir.path().join("names.txt");
    std::fs::write(&names_file, "000000000139\n").unwrap();
    let chosen = DataConfig {
        only: Some(names_file),
        ..all.clone()
    };
    assert_eq!(names(&chosen, Phase::Train), ["000000000139"]);
    assert_eq!(list(&chosen, Phase::Val, true).unwrap(), None);

    std::fs::remove_dir_all(dir.path().join("val_inst")).unwrap();
    let text = problems(&listed(&all, Phase::Val));
    assert!(
        text.contains("val_inst: cannot be listed") && text.contains("--no-instance"),
        "{text}"
    );
    let report = report(&DataConfig {
        instances: Some(false),
        ..all
    });
    assert!(report.is_ok(), "{report}");
    assert_eq!(report.classes[0].name, "person");
}

#[test]
fn facades_and_flickr_have_no_instance_maps() {
    let dir = tempfile::tempdir().unwrap();
    for phase in ["train", "val"] {
        for name in ["cmp_b0002", "cmp_b0010"] {
            photo(dir.path().join(format!("{phase}_img/sub/{name}.bmp")));
            map(
                dir.path().join(format!("{phase}_label/sub/{name}.png")),
                [1, 2, 3, 12, 12, 0],
            );
        }
    }
    let facades = config(DatasetMode::Facades, dir.path());
    assert_eq!(
        names(&facades, Phase::Val),
        ["sub/cmp_b0002", "sub/cmp_b0010"]
    );
    let facades = report(&facades);
    assert!(facades.is_ok(), "{facades}");
    assert_eq!(
        (facades.label_nc, facades.classes[0].name.as_str()),
        (13, "shop")
    );
    let flickr = report(&config(DatasetMode::Flickr, dir.path()));
    assert_eq!(
        (flickr.label_nc, flickr.dontcare, flickr.instances),
        (182, true, false)
    );
}

#[test]
fn photos_and_maps_of_every_kind_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let grey = image::GrayImage::from_raw(SIZE[0], SIZE[1], vec![0, 1, 2, 3, 4, 255]).unwrap();
    let rgb = image::DynamicImage::ImageLuma8(grey.clone()).into_rgb8();
    let endings = [
        "png", "PNG", "bmp", "tif", "TIFF", "webp", "pgm", "jpg", "JPEG",
    ];
    let labels = |ending: &str| match ending {
        "webp" | "jpg" | "JPEG" => "png".to_owned(),
        ending => ending.to_owned(),
    };
    for (number, ending) in endings.into_iter().enumerate() {
        let path = dir.path().join(format!("train_img/{number}.{ending}"));
        folder_of(&path);
        match ending {
            "pgm" => grey.save(path).unwrap(),
            _ => rgb.save(path).unwrap(),
        }
        let path = dir
            .path()
            .join(format!("train_label/{number}.{}", labels(ending)));
        folder_of(&path);
        grey.save(path).unwrap();
    }
    let config = DataConfig {
        label_nc: Some(5),
        dontcare: Some(true),
        hold_out: 0,
        ..DataConfig::of_dir(dir.path())
    };
    let space = config.label_space().unwrap();
    let dataset = Dataset::open(&config, Phase::Train, &space).unwrap();
    assert_eq!(dataset.len(), endings.len());
    for (index, ending) in endings.into_iter().enumerate() {
        let item = dataset.load(index, [0, 0]).unwrap();
        assert_eq!(item.labels.data, [0, 1, 2, 3, 4, 5], "{ending}");
    }
}

#[test]
fn lists_of_files_stand_for_folders() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a", "b", "town/c"] {
        coco(dir.path(), "train_*", name);
    }
    let custom = config(DatasetMode::Custom, dir.path());
    let custom = DataConfig {
        label_nc: Some(182),
        dontcare: Some(true),
        ..custom
    };
    let write = DataConfig {
        cache_filelist_write: true,
        ..custom.clone()
    };
    assert_eq!(names(&write, Phase::Train), ["a", "b", "town/c"]);
    let cache = dir.path().join("train_label/files.list");
    let text = std::fs::read_to_string(&cache).unwrap();
    assert_eq!(text, "a.png\nb.png\ntown/c.png\n");

    // A list hides what came later, where lists are read: if told so, and for COCO-Stuff.
    coco(dir.path(), "train_*", "d");
    let read = DataConfig {
        cache_filelist_read: true,
        ..custom.clone()
    };
    assert_eq!(names(&custom, Phase::Train), ["a", "b", "d", "town/c"]);
    assert_eq!(names(&read, Phase::Train), ["a", "b", "town/c"]);
    let as_coco = config(DatasetMode::Coco, dir.path());
    assert_eq!(names(&as_coco, Phase::Train), ["a", "b", "town/c"]);
    // Absolute paths will do as well.
    let absolute = dir.path().join("train_label/b.png").display().to_string();
    std::fs::write(&cache, format!("a.png\n\n{absolute}\ntown/c.png")).unwrap();
    assert_eq!(names(&read, Phase::Train), ["a", "b", "town/c"]);

    std::fs::write(&cache, "a.png\nlost.png\n").unwrap();
    let text = problems(&listed(&read, Phase::Train));
    assert!(
        text.contains("files.list: line 2: there is no file lost.png"),
        "{text}"
    );
}

#[test]
fn every_mode_reports_everything_wrong_at_once() {
    let dir = tempfile::tempdir().unwrap();
    cityscapes(dir.path(), "train", "ulm_000000_000001");
    cityscapes(dir.path(), "train", "ulm_000000_000002");
    let fine = dir.path().join("gtFine/train/ulm");
    map(
        fine.join("ulm_000000_000001_gtFine_labelIds.png"),
        [7, 7, 36, 36, 35, 255],
    );
    std::fs::remove_file(fine.join("ulm_000000_000002_gtFine_labelIds.png")).unwrap();
    photo(
        dir.path()
            .join("leftImg8bit/train/ulm/ulm_000000_000003_leftImg8bit.png"),
    );
    let report = report(&config(DatasetMode::Cityscapes, dir.path()));
    let text = report.to_string();
    for problem in [
        "ulm_000000_000001_gtFine_labelIds.png: id 36 at pixel (2, 0) and 1 more: ids must be below 35 (35 classes)",
        "ulm_000000_000001_gtFine_labelIds.png: id 35 at pixel (1, 1)",
        "ulm_000000_000001_gtFine_labelIds.png: id 255 at pixel (2, 1): 255 means unlabelled",
        "ulm_000000_000002_leftImg8bit.png: has no label map ulm_000000_000002*_labelIds.png in",
        "ulm_000000_000003_leftImg8bit.png: has no label map",
        "ulm_000000_000003_leftImg8bit.png: has no instance map",
        "6 problems",
    ] {
        assert!(text.contains(problem), "{problem} in\n{text}");
    }
}

#[test]
fn a_folder_that_looks_like_another_data_set_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    cityscapes(dir.path(), "train", "ulm_000000_000001");
    let error = check(&DataConfig::of_dir(dir.path()), &|_, _| {})
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("it looks like cityscapes: give --dataset-mode cityscapes"),
        "{error}"
    );
    let error = check(&config(DatasetMode::Coco, dir.path()), &|_, _| {})
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("holds no train_img and train_label folders; it looks"),
        "{error}"
    );
}

#[test]
fn colours_that_classes_share_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    photo(dir.path().join("train_img/a.png"));
    // Wall, twice the grey of road and skyscraper, sky, wall, and a colour of no class.
    let colours = [
        [120; 3],
        [140; 3],
        [140; 3],
        [6, 230, 230],
        [120; 3],
        [1, 2, 3],
    ];
    let pixels = image::RgbImage::from_raw(SIZE[0], SIZE[1], colours.concat()).unwrap();
    let path = dir.path().join("train_label/a.png");
    folder_of(&path);
    pixels.save(path).unwrap();
    let report = report(&DataConfig {
        classes: Some("ade20k".into()),
        ..DataConfig::of_dir(dir.path())
    });
    let text = report.to_string();
    for part in [
        "colour #8c8c8c at pixel (1, 0) and 1 more: the class table gives it to road and skyscraper, which only a map of ids can tell apart",
        "colour #010203 at pixel (2, 1): the class table has no such colour",
        "2 problems",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    assert_eq!(report.classes[0].name, "wall");
}

fn merge(preset: Option<Preset>, file: &str, flags: &str) -> Config {
    let table = |text: &str| -> Table { toml::from_str(text).unwrap() };
    Config::merge(preset, table(file), table(flags)).unwrap()
}

#[test]
fn published_data_sets_without_a_preset_are_what_the_published_code_makes_of_them() {
    for mode in ["coco", "ade20k", "facades", "flickr"] {
        let config = merge(None, &format!("[data]\ndataset_mode = '{mode}'"), "");
        let Config {
            model, data, train, ..
        } = config;
        assert_eq!(
            (data.preprocess, data.load_size),
            (Preprocess::ResizeAndCrop, 286)
        );
        assert_eq!((model.crop_size, data.crop_size, model.ngf), (256, 256, 64));
        assert_eq!(
            (model.upsampling, train.batch_size),
            (Upsampling::Normal, 1)
        );
    }
    let Config {
        model, data, train, ..
    } = merge(None, "", "[data]\ndataset_mode = 'cityscapes'");
    assert_eq!(
        (data.preprocess, data.load_size, data.crop_size),
        (Preprocess::Fixed, 512, 512)
    );
    assert_eq!((data.aspect_ratio, model.output()), (2.0, [256, 512]));
    assert_eq!((model.upsampling, train.batch_size), (Upsampling::More, 16));
    assert_eq!(data.geometry().output_size(), Some([512, 256]));
}

#[test]
fn presets_go_over_data_sets_and_flags_over_both() {
    let mode = "[data]\ndataset_mode = 'cityscapes'";
    let tiny = merge(Some(Preset::Tiny), mode, "");
    assert_eq!((tiny.model.output(), tiny.train.batch_size), ([32, 64], 4));
    assert_eq!(
        (tiny.data.preprocess, tiny.data.load_size),
        (Preprocess::Fixed, 64)
    );
    let flags =
        "[data]\npreprocess = 'crop'\nload_size = 99\n[model]\naspect_ratio = 1.0\ncrop_size = 128";
    let flagged = merge(Some(Preset::Tiny), mode, flags);
    assert_eq!(
        (flagged.data.preprocess, flagged.data.load_size),
        (Preprocess::Crop, 99)
    );
    assert_eq!(flagged.model.output(), [128, 128]);
    // Your own data begins with the default preset, and a flag's mode goes before a file's.
    assert_eq!(merge(None, "", ""), merge(Some(Preset::Small), "", ""));
    let flickr = merge(None, mode, "[data]\ndataset_mode = 'flickr'");
    assert_eq!((flickr.model.crop_size, flickr.train.batch_size), (256, 1));
    let wrong: Table = toml::from_str("[data]\ndataset_mode = 'cococo'").unwrap();
    let error = Config::merge(None, wrong, Table::new()).unwrap_err();
    assert!(
        error.exit_code() == 2 && error.to_string().contains("cococo"),
        "{error}"
    );
}

#[test]
fn a_published_data_set_needs_its_folder_and_no_other() {
    type Change = fn(&mut DataConfig);
    let coco = |change: Change| {
        let mut config = config(DatasetMode::Coco, Path::new("x"));
        change(&mut config);
        config.validate()
    };
    assert!(coco(|_| ()).is_ok());
    let cases: [(Change, &str); 4] = [
        (|c| c.dir = None, "needs the folder"),
        (|c| c.landscapes = Some(3), "landscapes cannot go together"),
        (
            |c| c.image_dir = Some("y".into()),
            "image_dir cannot go together",
        ),
        (
            |c| c.instance_dir = Some("y".into()),
            "instance_dir cannot go together",
        ),
    ];
    for (change, message) in cases {
        let error = coco(change).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains(message), "{error}");
    }
    let ade20k = DataConfig {
        instances: Some(true),
        ..config(DatasetMode::Ade20k, Path::new("x"))
    };
    assert!(
        ade20k
            .validate()
            .unwrap_err()
            .to_string()
            .contains("needs instance_dir")
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn natural_order_is_an_order(names in prop::collection::vec("[ab0-9./]{0,6}", 3)) {
        let [a, b, c] = [&names[0], &names[1], &names[2]];
        let order = natural_order(a, b);
        prop_assert_eq!(order, natural_order(b, a).reverse());
        prop_assert_eq!(order.is_eq(), a == b);
        if order.is_le() && natural_order(b, c).is_le() {
            prop_assert!(natural_order(a, c).is_le(), "{} {} {}", a, b, c);
        }
    }

    #[test]
    fn natural_order_counts(prefix in "[a-z]{0,3}", x in 0u32..5000, y in 0u32..5000, zeros in 0usize..3) {
        let (left, right) = (format!("{prefix}{x}z"), format!("{prefix}{}{y}z", "0".repeat(zeros)));
        prop_assume!(x != y);
        prop_assert_eq!(natural_order(&left, &right), x.cmp(&y));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn pairs_are_the_names_that_both_folders_hold(
        photos in prop::collection::btree_set("[ab]{1,2}[0-9]", 1..8),
        labels in prop::collection::btree_set("[ab]{1,2}[0-9]", 1..8),
    ) {
        let dir = tempfile::tempdir().unwrap();
        // Listing looks at names only.
        for (folder, names, ending) in [("train_img", &photos, "jpg"), ("train_label", &labels, "png")] {
            for name in names {
                let path = dir.path().join(format!("{folder}/{name}.{ending}"));
                folder_of(&path);
                std::fs::write(path, "").unwrap();
            }
        }
        let listing = list(&DataConfig::of_dir(dir.path()), Phase::Train, false).unwrap().unwrap();
        let mut want: Vec<&String> = photos.intersection(&labels).collect();
        want.sort_by(|a, b| natural_order(a, b));
        let got: Vec<&String> = listing.pairs.iter().map(|pair| &pair.name).collect();
        prop_assert_eq!(got, want);
        let alone = photos.symmetric_difference(&labels).count();
        prop_assert_eq!(listing.problems.len(), alone);
    }
}
