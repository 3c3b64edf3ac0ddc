/** Evaluation mode for the length of one call, so that a model can be used between two training steps. */

import type { Module } from "../nn/module.js";
import { noGrad } from "../tensor/autograd.js";

/** This module and all below it. */
function modulesOf(module: Module): Module[] {
  return [module, ...[...module.children()].flatMap(([, child]) => modulesOf(child))];
}

/** Switches a model's modules to evaluation and back, each to what it was. */
export class EvaluationMode {
  private readonly modules: Module[];

  constructor(model: Module) {
    this.modules = modulesOf(model);
  }

  /** Runs a synchronous `body` without dropout and without recording: nothing else sees the model meanwhile. */
  run<T>(body: () => T): T {
    const training = this.modules.filter((module) => module.training);
    for (const module of training) module.training = false;
    try {
      return noGrad(body);
    } finally {
      for (const module of training) module.training = true;
    }
  }
}
