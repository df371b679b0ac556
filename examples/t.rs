use sasnet::{exec::CpuExecutor,graph::Graph,kernel::Globals,net::{self,Config},tensor::Shape,ops::{Op,adam::Adam,grad_norm::GradNorm}};
fn main(){
  let a:Vec<usize>=std::env::args().skip(1).map(|v|v.parse().unwrap()).collect();
  let c=Config{blocks:vec![a[0]],features:a[1],attention:a[5]==1};
  let train=a[2]>0;
  let mut g=Graph::new(c.layout());
  let s=if train {Shape::new(a[2],3,a[3],a[4])} else {Shape::new(1,3,a[3],a[4])};
  let x=g.input("x",s);
  let y=net::smooth(&mut g,&c,x).unwrap(); g.output(y);
  if train { let t=g.input("t",s); let l=net::loss(&mut g,y,t).unwrap(); g.output(l);
    let (gr,_)=g.backward(l,&[]).unwrap(); let m=g.persistent_like_params("m"); let v=g.persistent_like_params("v");
    let cl=g.apply1("clip",GradNorm,&[gr]).unwrap(); let p=g.params(); g.apply_in_place("adam",Op::Adam(Adam::default()),&[gr,cl],&[p,m,v]).unwrap(); }
  let params=g.params();
  let mut e=CpuExecutor::<f32>::new(g.clone());
  let mut z=1u32; for v in e.get_mut(params){ z=z.wrapping_mul(1664525).wrapping_add(1013904223); *v=(z>>8) as f32/16777216.0*0.08-0.04; }
  println!("peak {} MB, {:.1} GMAC", e.plan().peak_bytes()/1000000, e.plan().macs() as f64/1e9);
  let n:usize=if std::env::var("PROF").is_ok(){1}else{5};
  for _ in 0..n { let t=std::time::Instant::now(); e.run(&Globals{clip:10.,learning_rate:1e-4,..Default::default()}); let d=t.elapsed().as_secs_f64(); println!("{:.3}s {:.0} GF/s",d,2e-9*e.plan().macs() as f64/d); }
  let mut times=std::collections::BTreeMap::new();
  for i in 0..g.nodes().len(){ let t=std::time::Instant::now(); e.step(i,&Globals::default()); *times.entry(format!("{} {:?}",e.plan().steps[i].op, e.plan().steps[i].shapes.first().map(|s|s.c))).or_insert(0.0)+=t.elapsed().as_secs_f64(); }
  for (k,v) in times { println!("{k:40} {v:.4}"); }
}
