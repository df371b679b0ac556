//! Smooths a picture in a window: drop one, compare before and after, choose strength, method and device.
//!
//! `viewer_egui [PICTURE]`; with `--screenshot FILE` it shows the result once, writes what it shows and ends, with an error
//! where the result is not what `Smoother` makes of the picture.

#![cfg_attr(clippy, deny(warnings))]

mod smoothing;

use eframe::{egui, egui_wgpu};
use sasnet::embed::{Frame, Session};
use sasnet::wgpu::{self, TextureUsages as Usages};
use sasnet::{Device, Options, Shape, Smoother, Tensor, Weights};
use smoothing::{FORMAT, Job, Message, Place, methods};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What smoothed the picture, and does it again when the strength changes.
enum Smoothed {
    /// On the window's device.
    Session(Box<Session>),
    /// On another one: the picture, with all strength.
    Picture(Tensor),
}

/// The picture and its textures.
struct Shown {
    name: String,
    picture: Arc<Tensor>,
    /// Before and after.
    textures: [wgpu::Texture; 2],
    ids: [egui::TextureId; 2],
}

struct Viewer {
    state: egui_wgpu::RenderState,
    shown: Option<Shown>,
    places: Vec<(String, Place)>,
    place: usize,
    method: usize,
    strength: f32,
    /// Where the after begins, 0 to 1.
    split: f32,
    job: Option<Job>,
    smoothed: Option<Smoothed>,
    progress: (f32, &'static str),
    status: String,
    screenshot: Option<PathBuf>,
    /// Frames since the result was there.
    frames: usize,
}

impl Viewer {
    fn new(cc: &eframe::CreationContext, picture: Option<PathBuf>, screenshot: Option<PathBuf>) -> Viewer {
        let state = cc.wgpu_render_state.clone().expect("the window is drawn by wgpu");
        let own = state.adapter.get_info().name;
        let mut places =
            vec![(format!("{own} (the window's)"), Place::Window), ("CPU".into(), Place::Own("cpu".into()))];
        for (i, adapter) in sasnet::low_level::gpu::list_adapters().iter().enumerate() {
            places.push((adapter.to_string(), Place::Own(i.to_string())));
        }
        let mut viewer = Viewer {
            state,
            shown: None,
            places,
            place: 0,
            method: 0,
            strength: 1.0,
            split: 0.5,
            job: None,
            smoothed: None,
            progress: (0.0, ""),
            status: "drop a picture here".into(),
            screenshot,
            frames: 0,
        };
        if let Some(path) = picture {
            viewer.open(&path, &cc.egui_ctx);
        }
        viewer
    }

    /// Reads a picture and begins to smooth it.
    fn open(&mut self, path: &Path, ctx: &egui::Context) {
        let pixels = match image::open(path) {
            Ok(picture) => picture.to_rgba8(),
            Err(error) => return self.status = format!("{}: {error}", path.display()),
        };
        let size = [pixels.width(), pixels.height()];
        let most = self.state.device.limits().max_texture_dimension_2d;
        if size.iter().any(|side| *side > most) {
            return self.status = format!("{}: more than {most} pixels wide or high", path.display());
        }
        let plane = (size[0] * size[1]) as usize;
        let codes = (0..3).flat_map(|c| pixels.pixels().map(move |p| f32::from(p[c]) / 255.0));
        let picture = Tensor::new(Shape::new(1, 3, plane / size[0] as usize, size[0] as usize), codes.collect());
        let textures = [(); 2].map(|()| {
            self.state.device.create_texture(&wgpu::TextureDescriptor {
                label: None,
                size: wgpu::Extent3d { width: size[0], height: size[1], depth_or_array_layers: 1 },
                mip_level_count: 1,
                sample_count: 1,
                dimension: wgpu::TextureDimension::D2,
                format: FORMAT,
                usage: Usages::RENDER_ATTACHMENT | Usages::TEXTURE_BINDING | Usages::COPY_DST | Usages::COPY_SRC,
                view_formats: &[],
            })
        });
        textures.iter().for_each(|texture| self.upload(texture, &pixels));
        let mut renderer = self.state.renderer.write();
        if let Some(old) = self.shown.take() {
            old.ids.iter().for_each(|id| renderer.free_texture(id));
        }
        let ids = [0, 1].map(|i| {
            let view = textures[i].create_view(&Default::default());
            renderer.register_native_texture(&self.state.device, &view, wgpu::FilterMode::Linear)
        });
        drop(renderer);
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        self.shown = Some(Shown { name, picture: picture.into(), textures, ids });
        self.begin(ctx);
    }

    fn upload(&self, texture: &wgpu::Texture, pixels: &[u8]) {
        let layout =
            wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(4 * texture.width()), rows_per_image: None };
        self.state.queue.write_texture(texture.as_image_copy(), pixels, layout, texture.size());
    }

    /// Begins to smooth what is shown, as is chosen.
    fn begin(&mut self, ctx: &egui::Context) {
        let Some(shown) = &self.shown else { return };
        (self.smoothed, self.frames) = (None, 0);
        let device = (self.state.device.clone(), self.state.queue.clone());
        let (place, method) = (self.places[self.place].1.clone(), methods()[self.method]);
        self.job = Some(Job::start(ctx.clone(), device, place, method, shown.picture.clone()));
    }

    /// Hears what the job has to say.
    fn listen(&mut self) {
        let Some(job) = &self.job else { return };
        let began = job.began;
        for message in job.news() {
            let done = match message {
                Message::Progress(part, what) => {
                    self.progress = (part, what);
                    continue;
                }
                Message::Session(session) => Ok(Smoothed::Session(session)),
                Message::Picture(picture) => Ok(Smoothed::Picture(picture)),
                Message::Failed(error) => Err(error),
            };
            self.job = None;
            match done {
                Ok(smoothed) => {
                    self.smoothed = Some(smoothed);
                    self.status = format!("{:.1} s", began.elapsed().as_secs_f64());
                    self.apply();
                }
                Err(error) => self.status = error.to_string(),
            }
        }
    }

    /// Puts the result of this strength into the second texture.
    fn apply(&mut self) {
        let (Some(shown), Some(smoothed)) = (&self.shown, &mut self.smoothed) else { return };
        match smoothed {
            Smoothed::Session(session) => {
                let mut encoder = self.state.device.create_command_encoder(&Default::default());
                let [from, to] = [0, 1].map(|i| shown.textures[i].create_view(&Default::default()));
                let recorded = session
                    .prepare(&Frame::default().with_strength(self.strength))
                    .and_then(|()| session.record(&mut encoder, &from, &to));
                match recorded {
                    Ok(()) => drop(self.state.queue.submit([encoder.finish()])),
                    Err(error) => self.status = error.to_string(),
                }
            }
            Smoothed::Picture(y) => {
                let (x, plane) = (&shown.picture, y.shape.plane());
                let code = |i: usize| {
                    let v = (1.0 - self.strength) * x.data[i] + self.strength * y.data[i];
                    (255.0 * v).round() as u8
                };
                let pixels: Vec<u8> =
                    (0..plane).flat_map(|i| [code(i), code(plane + i), code(2 * plane + i), 255]).collect();
                let texture = shown.textures[1].clone();
                self.upload(&texture, &pixels);
            }
        }
    }

    fn controls(&mut self, ui: &mut egui::Ui) {
        ui.horizontal_wrapped(|ui| {
            let mut chosen = false;
            ui.label("method");
            egui::ComboBox::from_id_salt("method").selected_text(methods()[self.method]).show_ui(ui, |ui| {
                for (i, name) in methods().into_iter().enumerate() {
                    chosen |= ui.selectable_value(&mut self.method, i, name).changed();
                }
            });
            let place = self.places[self.place].0.clone();
            ui.label("device");
            egui::ComboBox::from_id_salt("device").selected_text(place).show_ui(ui, |ui| {
                for (i, (name, _)) in self.places.iter().enumerate() {
                    chosen |= ui.selectable_value(&mut self.place, i, name.as_str()).changed();
                }
            });
            if chosen {
                self.begin(ui.ctx());
            }
            ui.label("strength");
            if ui.add(egui::Slider::new(&mut self.strength, 0.0..=1.0).fixed_decimals(2)).changed() {
                self.apply();
            }
            if self.job.is_some() {
                let (part, what) = self.progress;
                ui.add(egui::ProgressBar::new(part).desired_width(140.0).text(what));
                if ui.button("stop").clicked() {
                    self.job = None;
                    self.status = "stopped".into();
                }
            } else {
                let name = self.shown.as_ref().map_or("", |shown| &shown.name);
                ui.label(format!("{name}  {}", self.status));
            }
        });
    }

    /// The picture, before on the left of the slider and after on the right.
    fn comparison(&mut self, ui: &mut egui::Ui) {
        let Some(shown) = &self.shown else {
            ui.centered_and_justified(|ui| ui.label("drop a picture here"));
            return;
        };
        let (w, h) = (shown.picture.shape.w as f32, shown.picture.shape.h as f32);
        let room = ui.available_rect_before_wrap();
        let scale = (room.width() / w).min(room.height() / h);
        let rect = egui::Rect::from_center_size(room.center(), egui::vec2(w, h) * scale);
        let response = ui.allocate_rect(rect, egui::Sense::click_and_drag());
        if let Some(at) = response.interact_pointer_pos() {
            self.split = ((at.x - rect.left()) / rect.width()).clamp(0.0, 1.0);
        }
        // With the keyboard, when the picture has the focus.
        if response.has_focus() {
            let step = |key, by| if ui.input(|input| input.key_pressed(key)) { by } else { 0.0 };
            let by = step(egui::Key::ArrowRight, 0.02) - step(egui::Key::ArrowLeft, 0.02);
            self.split = (self.split + by).clamp(0.0, 1.0);
        }
        let x = rect.left() + self.split * rect.width();
        for (id, from, to) in [(shown.ids[0], rect.left(), x), (shown.ids[1], x, rect.right())] {
            let part = egui::Rect::from_x_y_ranges(from..=to, rect.y_range());
            let [u, v] = [from, to].map(|x| (x - rect.left()) / rect.width());
            let texels = egui::Rect::from_min_max(egui::pos2(u, 0.0), egui::pos2(v, 1.0));
            ui.painter().image(id, part, texels, egui::Color32::WHITE);
        }
        ui.painter().vline(x, rect.y_range(), (2.0, egui::Color32::WHITE));
        let handle = egui::pos2(x, rect.center().y);
        ui.painter().circle(handle, 9.0, egui::Color32::WHITE, (2.0, egui::Color32::from_gray(60)));
        let _ = response.on_hover_cursor(egui::CursorIcon::ResizeHorizontal);
    }

    /// Writes what the window shows once the result is there, compares that with `Smoother`, and ends.
    fn take_screenshot(&mut self, ctx: &egui::Context) {
        let Some(path) = self.screenshot.clone() else { return };
        if self.job.is_none() && self.smoothed.is_none() {
            eprintln!("viewer_egui: {}", self.status);
            std::process::exit(1);
        }
        ctx.request_repaint();
        self.frames += usize::from(self.smoothed.is_some());
        if self.frames != 3 {
            return;
        }
        let worst = self.worst();
        ctx.send_viewport_cmd(egui::ViewportCommand::Screenshot(egui::ScreenshotCallback::new(move |shot| {
            let [w, h] = shot.size;
            let pixels = shot.pixels.iter().flat_map(|p| [p.r(), p.g(), p.b()]).collect();
            let shot = image::RgbImage::from_raw(w as u32, h as u32, pixels).expect("it is as large");
            if let Err(error) = shot.save(&path) {
                eprintln!("viewer_egui: {}: {error}", path.display());
                std::process::exit(1);
            }
            println!("wrote {}; the result is off by {worst} of 255 at most", path.display());
            std::process::exit(i32::from(worst > 1));
        })));
    }

    /// The largest distance of the second texture from what the CPU makes of the picture, of 255.
    fn worst(&self) -> u8 {
        let shown = self.shown.as_ref().expect("there is a picture");
        let weights = Weights::model(methods()[self.method]).expect("the first method is a model");
        let want = Smoother::new(weights, Device::Cpu).smooth(&shown.picture, &Options::default());
        let want = want.expect("the picture fits into memory");
        let got = self.read(&shown.textures[1]);
        let plane = want.shape.plane();
        let distance = |i: usize, c: usize| got[4 * i + c].abs_diff((255.0 * want.data[c * plane + i]).round() as u8);
        (0..plane).flat_map(|i| [0, 1, 2].map(|c| distance(i, c))).max().unwrap_or(0)
    }

    fn read(&self, texture: &wgpu::Texture) -> Vec<u8> {
        let row = 4 * texture.width();
        let stride = row.next_multiple_of(wgpu::COPY_BYTES_PER_ROW_ALIGNMENT);
        let device = &self.state.device;
        let buffer = device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: u64::from(stride * texture.height()),
            usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
            mapped_at_creation: false,
        });
        let mut encoder = device.create_command_encoder(&Default::default());
        let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(stride), rows_per_image: None };
        let to = wgpu::TexelCopyBufferInfo { buffer: &buffer, layout };
        encoder.copy_texture_to_buffer(texture.as_image_copy(), to, texture.size());
        self.state.queue.submit([encoder.finish()]);
        buffer.map_async(wgpu::MapMode::Read, .., |result| result.expect("the buffer is mapped"));
        device.poll(wgpu::PollType::wait_indefinitely()).expect("the device works");
        let view = buffer.get_mapped_range(..).expect("it is mapped");
        view.chunks_exact(stride as usize).flat_map(|line| line[..row as usize].to_vec()).collect()
    }
}

impl eframe::App for Viewer {
    fn ui(&mut self, ui: &mut egui::Ui, _: &mut eframe::Frame) {
        self.listen();
        let dropped = ui.ctx().input(|input| input.raw.dropped_files.first().map(|file| file.path().to_path_buf()));
        if let Some(path) = dropped {
            self.open(&path, &ui.ctx().clone());
        }
        egui::Panel::top("controls").show(ui, |ui| self.controls(ui));
        egui::CentralPanel::default().show(ui, |ui| self.comparison(ui));
        self.take_screenshot(&ui.ctx().clone());
    }
}

fn main() -> eframe::Result {
    let mut arguments = std::env::args_os().skip(1);
    let (mut picture, mut screenshot) = (None, None);
    while let Some(argument) = arguments.next() {
        if argument == "--screenshot" {
            screenshot = arguments.next().map(PathBuf::from);
        } else {
            picture = Some(PathBuf::from(argument));
        }
    }
    let viewport = egui::ViewportBuilder::default().with_inner_size([900.0, 640.0]).with_title("sasnet viewer");
    let options = eframe::NativeOptions { viewport, ..Default::default() };
    eframe::run_native("sasnet viewer", options, Box::new(|cc| Ok(Box::new(Viewer::new(cc, picture, screenshot)))))
}
